// The scheme of LULESH on the host, one element at a time and as it is defined: what Hydro's kernels are checked with.
#pragma once

#include <vector>

#include "workload/apps/hydro_mesh.h"

namespace nm::workload::apps {

class HydroReference {
 public:
  explicit HydroReference(HydroMesh mesh);

  // False: the end was reached before.
  bool cycle();
  int cycles() const { return cycles_; }

  std::vector<double> x, y, z, vx, vy, vz;                         // nodes
  std::vector<double> volume, energy, pressure, viscosity, sound;  // elements; the volume relative to the first

 private:
  void next_step();
  void move_nodes();
  void update_elements();

  HydroMesh mesh_;
  double dt_, time_ = 0, courant_ = 1e20, hydro_ = 1e20;
  int cycles_ = 0;
};

}  // namespace nm::workload::apps
