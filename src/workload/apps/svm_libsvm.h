// The same training by libsvm, which is what Svm's answer is compared with where this program was built with it.
#pragma once

#include <vector>

#include "workload/apps/svm_data.h"

namespace nm::workload::apps {

struct LibsvmResult {
  double objective = 0;  // of the dual, to be minimised
  size_t support_vectors = 0, at_bound = 0;
  std::vector<double> decisions;  // of `points`; above zero: label 1
};

bool has_libsvm();
LibsvmResult train_by_libsvm(const SvmData& data, double gamma, double c, double tolerance,
                             const std::vector<size_t>& points);

}  // namespace nm::workload::apps
