// The same training by libsvm, which is what Svm's answer is compared with where this program was built with it.
#pragma once

#include <vector>

#include "workload/apps/svm_data.h"

namespace nm::workload::apps {

struct LibsvmResult {
  std::vector<double> alpha;  // of all instances
  double constant = 0;        // of the decision; above zero: label 1
};

bool has_libsvm();
// `matrix`: the kernel's values, `data.stride` a row. Empty: libsvm computes them itself, in double precision, which
// takes it a microsecond and more each.
LibsvmResult train_by_libsvm(const SvmData& data, double gamma, double c, double tolerance,
                             const std::vector<float>& matrix);

}  // namespace nm::workload::apps
