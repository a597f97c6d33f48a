// NeuralNet on the host, in double precision: images of digits to learn from, and the net that learns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace nm::workload::shoc {

constexpr size_t kInputs = 28 * 28, kHidden = 30, kOutputs = 10, kBatch = 10;
constexpr double kLearningRate = 3;

// Digits as on a pocket calculator, drawn somewhere in 28 × 28 points, in different sizes, strengths and slants, with
// noise.
struct Digits {
  std::vector<float> images;  // kInputs a digit, 0 to 1
  std::vector<int32_t> values;
};
Digits draw_digits(std::mt19937_64& random, size_t count);

// One layer after the other: weights [unit][input], then biases.
template <typename T>
struct Net {
  std::vector<T> w1 = std::vector<T>(kHidden * kInputs), b1 = std::vector<T>(kHidden);
  std::vector<T> w2 = std::vector<T>(kOutputs * kHidden), b2 = std::vector<T>(kOutputs);

  template <typename U>
  static Net from(const Net<U>& other) {
    Net net;
    net.w1.assign(other.w1.begin(), other.w1.end());
    net.b1.assign(other.b1.begin(), other.b1.end());
    net.w2.assign(other.w2.begin(), other.w2.end());
    net.b2.assign(other.b2.begin(), other.b2.end());
    return net;
  }
};

// Normally distributed: biases of width 1 and weights of 1 over the root of a unit's inputs, so that even a short
// training gets somewhere. (SHOC begins with weights of width 1, hence with units that answer 0 or 1 and learn little.)
Net<float> random_net(std::mt19937_64& random);
// One step down the gradient of the batch that begins at digit `first`.
void learn(Net<double>& net, const Digits& digits, size_t first);
// The mean of half the squared error, and the share of digits that it recognises.
struct Grade {
  double cost, right;
};
Grade grade(const Net<double>& net, const Digits& digits);
// ‖a − b‖ / ‖b − before‖ over all weights and biases: the error of what was learnt since `before`.
double error_of_change(const Net<double>& a, const Net<double>& b, const Net<double>& before);

}  // namespace nm::workload::shoc
