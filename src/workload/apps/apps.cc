// The table of the suite apps: the applications of the papers, small.
#include "workload/apps/programs.h"
#include "workload/suites.h"

namespace nm::workload {

std::span<const Program> apps_suite() {
  static constexpr Program kPrograms[] = {
      {"Hydro", "apps", -1, true, "a blast wave in a Lagrangian mesh, as LULESH computes it", apps::hydro},
      {"Svm", "apps", -1, true, "training of a support vector machine, as GPU-LIBSVM does it", apps::svm},
      {"MolecularDynamics", "apps", -1, true, "water, by one to eight threads that share the device, as LAMMPS does it",
       apps::molecular_dynamics},
  };
  return kPrograms;
}

}  // namespace nm::workload
