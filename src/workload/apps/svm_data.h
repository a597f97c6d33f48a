// Instances like gisette's (handwritten digits 4 and 9 with added noise): integer features of 0 to 999, most of them 0.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace nm::workload::apps {

struct SvmData {
  size_t instances = 0, features = 0;
  size_t stride = 0;           // instances, padded to whole tiles of 128
  size_t depth = 0;            // features, padded to 16
  std::vector<float> values;   // feature by feature, all instances of it side by side; 0 to 1; padding is 0
  std::vector<float> squares;  // of an instance's length, rounded once; `stride` of them
  std::vector<float> labels;   // 1 or -1

  float value(size_t instance, size_t feature) const { return values[feature * stride + instance]; }
  // |x_i - x_j|², in double precision.
  double distance(size_t i, size_t j) const;
  // One over the mean squared distance of pairs: a kernel that is neither flat nor a set of spikes.
  double gamma() const;
};

SvmData svm_data(size_t instances, size_t features, std::mt19937_64& random);

}  // namespace nm::workload::apps
