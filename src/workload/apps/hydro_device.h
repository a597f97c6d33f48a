// The mesh on a device, and the kernels of a cycle.
#pragma once

#include <vector>

#include "device/device.h"
#include "workload/apps/hydro_mesh.h"

namespace nm::workload::apps {

// As the kernels have it: step, time, cycle, whether the end is reached, the end.
struct HydroState {
  double dt, time, cycle, stopped, end;
};

struct HydroSolution {
  std::vector<double> x, y, z, vx, vy, vz, energy, volume;
};

class HydroDevice {
 public:
  HydroDevice(device::Device& device, const HydroMesh& mesh);

  // The state of the beginning goes to the device. What a cycle computes is filled with NaN.
  void reset();
  void cycle();
  HydroState state();
  void solution(HydroSolution* out);  // keeps the memory that is there
  // What an application does: there, cycle by cycle, and back. Ends after `limit` cycles, or at the end.
  HydroState whole_run(int limit, HydroSolution* out);

 private:
  device::Device& device_;
  const HydroMesh& mesh_;
  HydroState start_{};
  std::vector<double> ones_, start_energy_;
  uint32_t blocks_ = 0;
  device::Buffer corners_, neighbours_, gather_, planes_, mass_, volume_0_, x_, y_, z_, vx_, vy_, vz_, volume_, energy_,
      pressure_, viscosity_, sound_, new_volume_, length_, growth_, jump_xi_, jump_eta_, jump_zeta_, size_xi_,
      size_eta_, size_zeta_, fx_, fy_, fz_, courant_, hydro_, state_;
  device::Kernel next_step_, forces_, nodes_, kinematics_, material_;
};

}  // namespace nm::workload::apps
