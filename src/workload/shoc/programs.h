// SHOC's programs, one function and one file each.
#pragma once

#include "workload/program.h"

namespace nm::workload::shoc {

void reduction(Run& run);
void triad(Run& run);
void scan(Run& run);
void sort(Run& run);
void spmv(Run& run);
void stencil(Run& run);
void qtc(Run& run);
void s3d(Run& run);

}  // namespace nm::workload::shoc
