// The deep-learning programs, one function and one file each.
#pragma once

#include "workload/program.h"

namespace nm::workload::ai {

void gemm(Run& run);

}  // namespace nm::workload::ai
