// The table of the suite apps.
#include "workload/suites.h"

namespace nm::workload {

std::span<const Program> apps_suite() { return {}; }

}  // namespace nm::workload
