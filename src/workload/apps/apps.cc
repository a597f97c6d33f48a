// The table of the suite apps: the applications of the papers, small.
#include "workload/apps/programs.h"
#include "workload/suites.h"

namespace nm::workload {

std::span<const Program> apps_suite() {
  static constexpr Program kPrograms[] = {
      {"Hydro", "apps", -1, true, "a blast wave in a Lagrangian mesh, as LULESH computes it", apps::hydro},
      {"Svm", "apps", -1, true, "training of a support vector machine, as GPU-LIBSVM does it", apps::svm},
  };
  return kPrograms;
}

}  // namespace nm::workload
