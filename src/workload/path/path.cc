// The table of the suite path.
#include "workload/suites.h"

namespace nm::workload {

std::span<const Program> path_suite() { return {}; }

}  // namespace nm::workload
