// Threads that share one device, as processes of LAMMPS do with its GPU package: each opens the device for itself and
// owns a share of the molecules. The device computes near forces of every share, and the first thread's also the far
// forces of all; meanwhile the thread computes its molecules' springs on the CPU, and then moves them. All positions
// travel to the device for every thread and step, forces come back; shares meet in host memory, at two barriers a step.
#pragma once

#include <functional>
#include <memory>

#include "workload/apps/md_device.h"
#include "workload/apps/md_system.h"

namespace nm::workload::apps {

struct MdRun {
  std::vector<double> seconds;  // of every leg
  std::vector<double> energy;   // of the whole system, after every step and at first
  double kinetic = 0;           // at the end
  MdSystem last;
  std::vector<Vector3> early;  // positions after kEarly steps
};

constexpr int kEarly = 3;

using OpenDevice = std::function<std::unique_ptr<device::Device>()>;

// `legs` legs of `steps` steps of `dt` fs. `hottest`, if it is above zero: velocities are scaled down to that many
// kelvin after every step that is hotter. `pinned` gives the memory in which shares meet.
MdRun run_team(const OpenDevice& open, device::Device& pinned, const MdSystem& start, int threads, int legs, int steps,
               double dt, double hottest);

}  // namespace nm::workload::apps
