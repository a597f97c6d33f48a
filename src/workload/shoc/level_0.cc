// The table of SHOC's level 0.
#include "workload/suites.h"

namespace nm::workload {

std::span<const Program> shoc_level_0() { return {}; }

}  // namespace nm::workload
