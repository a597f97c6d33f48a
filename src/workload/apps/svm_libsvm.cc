#include "workload/apps/svm_libsvm.h"

#include <cmath>

#include "device/device.h"

#ifdef NM_HAS_LIBSVM
#include <libsvm/svm.h>
#endif

namespace nm::workload::apps {

#ifdef NM_HAS_LIBSVM

bool has_libsvm() { return true; }

LibsvmResult train_by_libsvm(const SvmData& data, double gamma, double c, double tolerance,
                             const std::vector<float>& matrix) {
  svm_set_print_string_function([](const char*) {});  // standard output is for results
  std::vector<std::vector<svm_node>> rows(data.instances);
  std::vector<svm_node*> x;
  std::vector<double> y;
  for (size_t i = 0; i < data.instances; ++i) {
    if (!matrix.empty()) {
      // As libsvm has it: the instance's number, from 1, and then its row.
      rows[i].push_back({0, static_cast<double>(i + 1)});
      for (size_t j = 0; j < data.instances; ++j) {
        rows[i].push_back({static_cast<int>(j) + 1, static_cast<double>(matrix[i * data.stride + j])});
      }
    } else {
      for (size_t f = 0; f < data.features; ++f) {
        if (const float value = data.value(i, f); value != 0) {
          rows[i].push_back({static_cast<int>(f) + 1, static_cast<double>(value)});
        }
      }
    }
    rows[i].push_back({-1, 0});
    x.push_back(rows[i].data());
    y.push_back(static_cast<double>(data.labels[i]));
  }
  const svm_problem problem{static_cast<int>(data.instances), y.data(), x.data()};
  svm_parameter parameter{};
  parameter.svm_type = C_SVC;
  parameter.kernel_type = matrix.empty() ? RBF : PRECOMPUTED;
  parameter.gamma = gamma;
  parameter.cache_size = 512;
  parameter.eps = tolerance;
  parameter.C = c;
  parameter.shrinking = 1;
  if (const char* wrong = svm_check_parameter(&problem, &parameter)) {
    throw device::Failure(std::string("libsvm refuses the problem: ") + wrong + ".");
  }
  svm_model* model = svm_train(&problem, &parameter);
  LibsvmResult result;
  result.alpha.resize(data.instances);
  for (int s = 0; s < model->l; ++s) {
    result.alpha[static_cast<size_t>(model->sv_indices[s]) - 1] = std::abs(model->sv_coef[0][s]);
  }
  // Its decision is above zero for the label that it saw first.
  result.constant = model->label[0] == 1 ? -model->rho[0] : model->rho[0];
  svm_free_and_destroy_model(&model);
  return result;
}

#else

bool has_libsvm() { return false; }

LibsvmResult train_by_libsvm(const SvmData&, double, double, double, const std::vector<float>&) {
  throw device::Failure("This program was built without libsvm.");
}

#endif

}  // namespace nm::workload::apps
