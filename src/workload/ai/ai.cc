// The table of the suite ai.
#include "workload/suites.h"

namespace nm::workload {

std::span<const Program> ai_suite() { return {}; }

}  // namespace nm::workload
