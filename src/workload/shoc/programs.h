// SHOC's programs, one function and one file each.
#pragma once

#include "workload/program.h"

namespace nm::workload::shoc {

void reduction(Run& run);
void triad(Run& run);

}  // namespace nm::workload::shoc
