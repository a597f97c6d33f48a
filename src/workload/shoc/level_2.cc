// The table of SHOC's level 2.
#include "workload/suites.h"

namespace nm::workload {

std::span<const Program> shoc_level_2() { return {}; }

}  // namespace nm::workload
