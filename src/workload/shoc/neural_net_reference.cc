#include "workload/shoc/neural_net_reference.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace nm::workload::shoc {
namespace {

double uniform(std::mt19937_64& random) { return static_cast<double>(random() >> 40) / (1 << 24); }

double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }

// Sums side by side, so that a compiler may use vectors.
template <size_t kCount, typename A>
double dot(const double* weights, const A* x) {
  constexpr size_t kSums = kCount % 8 == 0 ? 8 : 2;
  static_assert(kCount % kSums == 0);
  double sum[kSums] = {}, all = 0;
  for (size_t i = 0; i < kCount; i += kSums) {
    for (size_t k = 0; k < kSums; ++k) sum[k] += weights[i + k] * static_cast<double>(x[i + k]);
  }
  for (const double part : sum) all += part;
  return all;
}

struct Answer {
  std::array<double, kHidden> hidden;
  std::array<double, kOutputs> output;
};

Answer answer(const Net<double>& net, const float* image) {
  Answer a;
  for (size_t h = 0; h < kHidden; ++h) a.hidden[h] = sigmoid(net.b1[h] + dot<kInputs>(&net.w1[h * kInputs], image));
  for (size_t o = 0; o < kOutputs; ++o) {
    a.output[o] = sigmoid(net.b2[o] + dot<kHidden>(&net.w2[o * kHidden], a.hidden.data()));
  }
  return a;
}

}  // namespace

Digits draw_digits(std::mt19937_64& random, size_t count) {
  // Which of a calculator's seven strokes a digit has: top, upper left, upper right, middle, lower left, lower right,
  // bottom.
  constexpr std::array<uint8_t, 10> kStrokes{0b1110111, 0b0100100, 0b1011101, 0b1101101, 0b0101110,
                                             0b1101011, 0b1111011, 0b0100101, 0b1111111, 0b1101111};
  struct Line {
    double x0, y0, x1, y1;
  };
  constexpr std::array<Line, 7> kLines{
      {{0, 0, 1, 0}, {0, 0, 0, 1}, {1, 0, 1, 1}, {0, 1, 1, 1}, {0, 1, 0, 2}, {1, 1, 1, 2}, {0, 2, 1, 2}}};
  Digits digits;
  digits.images.resize(count * kInputs);
  for (size_t d = 0; d < count; ++d) {
    const auto value = static_cast<size_t>(random() % 10);
    digits.values.push_back(static_cast<int32_t>(value));
    const double size = 7 + 2 * uniform(random), left = 8 + 4 * uniform(random), top = 4 + 4 * uniform(random);
    const double slant = 0.3 * uniform(random) - 0.15, thick = 1 + 0.7 * uniform(random);
    const double strength = 0.7 + 0.3 * uniform(random);
    for (size_t y = 0; y < 28; ++y) {
      for (size_t x = 0; x < 28; ++x) {
        // In the digit's own coordinates: 1 wide and 2 high.
        const double v = (static_cast<double>(y) - top) / size,
                     u = (static_cast<double>(x) - left) / size + slant * (v - 1);
        double nearest = 1e9;
        for (size_t line = 0; line < kLines.size(); ++line) {
          if (!(kStrokes[value] >> line & 1)) continue;
          const Line& l = kLines[line];
          const double du = u - std::clamp(u, l.x0, l.x1), dv = v - std::clamp(v, l.y0, l.y1);
          nearest = std::min(nearest, du * du + dv * dv);
        }
        const double ink = std::clamp(thick + 0.5 - std::sqrt(nearest) * size, 0.0, 1.0) * strength;
        const double noise = 0.1 * uniform(random);
        digits.images[d * kInputs + y * 28 + x] = static_cast<float>(ink > 0        ? ink * (1 - noise)
                                                                     : noise > 0.09 ? noise
                                                                                    : 0);
      }
    }
  }
  return digits;
}

Net<float> random_net(std::mt19937_64& random) {
  Net<float> net;
  const auto fill = [&](std::vector<float>& part, double scale) {
    for (float& value : part) {
      // The sum of twelve uniform numbers: the same on every machine, which std::normal_distribution is not.
      double sum = -6;
      for (int i = 0; i < 12; ++i) sum += uniform(random);
      value = static_cast<float>(sum * scale);
    }
  };
  fill(net.b1, 1), fill(net.b2, 1);
  fill(net.w1, 1 / std::sqrt(kInputs)), fill(net.w2, 1 / std::sqrt(kHidden));
  return net;
}

void learn(Net<double>& net, const Digits& digits, size_t first) {
  constexpr double kRate = kLearningRate / kBatch;
  std::array<std::array<double, kOutputs>, kBatch> output_error;
  std::array<std::array<double, kHidden>, kBatch> hidden_error;
  std::array<Answer, kBatch> answers;
  for (size_t s = 0; s < kBatch; ++s) {
    answers[s] = answer(net, &digits.images[(first + s) * kInputs]);
    for (size_t o = 0; o < kOutputs; ++o) {
      const double y = answers[s].output[o];
      output_error[s][o] = (y - (digits.values[first + s] == static_cast<int32_t>(o) ? 1 : 0)) * y * (1 - y);
    }
    for (size_t h = 0; h < kHidden; ++h) {
      double sum = 0;
      for (size_t o = 0; o < kOutputs; ++o) sum += net.w2[o * kHidden + h] * output_error[s][o];
      hidden_error[s][h] = sum * answers[s].hidden[h] * (1 - answers[s].hidden[h]);
    }
  }
  for (size_t s = 0; s < kBatch; ++s) {
    const float* const image = &digits.images[(first + s) * kInputs];
    for (size_t h = 0; h < kHidden; ++h) {
      const double step = kRate * hidden_error[s][h];
      for (size_t i = 0; i < kInputs; ++i) net.w1[h * kInputs + i] -= step * static_cast<double>(image[i]);
      net.b1[h] -= step;
    }
    for (size_t o = 0; o < kOutputs; ++o) {
      const double step = kRate * output_error[s][o];
      for (size_t h = 0; h < kHidden; ++h) net.w2[o * kHidden + h] -= step * answers[s].hidden[h];
      net.b2[o] -= step;
    }
  }
}

Grade grade(const Net<double>& net, const Digits& digits) {
  Grade result{0, 0};
  for (size_t d = 0; d < digits.values.size(); ++d) {
    const Answer a = answer(net, &digits.images[d * kInputs]);
    for (size_t o = 0; o < kOutputs; ++o) {
      const double wrong = a.output[o] - (digits.values[d] == static_cast<int32_t>(o) ? 1 : 0);
      result.cost += wrong * wrong / 2;
    }
    const auto best = std::max_element(a.output.begin(), a.output.end()) - a.output.begin();
    if (best == digits.values[d]) result.right += 1;
  }
  const auto count = static_cast<double>(digits.values.size());
  return {result.cost / count, result.right / count};
}

double error_of_change(const Net<double>& a, const Net<double>& b, const Net<double>& before) {
  double difference = 0, change = 0;
  const auto add = [&](const std::vector<double>& x, const std::vector<double>& y, const std::vector<double>& z) {
    for (size_t i = 0; i < x.size(); ++i) {
      difference += (x[i] - y[i]) * (x[i] - y[i]);
      change += (y[i] - z[i]) * (y[i] - z[i]);
    }
  };
  add(a.w1, b.w1, before.w1), add(a.b1, b.b1, before.b1), add(a.w2, b.w2, before.w2), add(a.b2, b.b2, before.b2);
  const double error = std::sqrt(difference / change);
  return std::isfinite(error) ? error : std::numeric_limits<double>::infinity();
}

}  // namespace nm::workload::shoc
