// What the device does for one thread of MolecularDynamics: neighbours and near forces of the thread's share of the
// atoms; for one thread of them also the far forces of all atoms.
#pragma once

#include "device/device.h"
#include "workload/apps/md_system.h"

namespace nm::workload::apps {

// As kernels have atoms and forces.
struct Float4 {
  float x, y, z, w;
};

class MdDevice {
 public:
  // The share: `own` atoms from `first` on.
  MdDevice(device::Device& device, const MdSystem& system, int first, int own, bool far);

  // All atoms' positions, of all shares. Not waited for: `atoms` stays as it is until finish().
  void put(const Float4* atoms);
  void build();  // the share's list of neighbours
  void near();   // the share's near forces
  void far();    // all atoms' far forces
  void get_near(Float4* forces);
  void get_far(Float4* forces);

  // After the device finished. A list or cell that was too small for its atoms is a failure, not a wrong result.
  void check_overflow();
  double listed_pairs();

  device::Device& device() { return device_; }

 private:
  device::Device& device_;
  int atoms_, first_, own_, grid_, cells_, cell_capacity_, capacity_;
  float box_, reach_squared_, cutoff_squared_, alpha_, shift_energy_, shift_force_;
  device::Buffer positions_, counts_, bins_, list_, lengths_, overflow_, near_;
  device::Buffer charges_, field_, potential_, influence_, turn_, far_;
  device::Kernel bin_, neighbours_, pairs_, spread_, interpolate_, from_charges_, along_y_, solve_, to_potential_;
};

// A position in the box, as kernels have it.
Float4 device_atom(const MdSystem& system, int atom);

}  // namespace nm::workload::apps
