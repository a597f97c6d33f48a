// The applications, one function each.
#pragma once

#include "workload/program.h"

namespace nm::workload::apps {

void hydro(Run& run);
void svm(Run& run);
void molecular_dynamics(Run& run);

}  // namespace nm::workload::apps
