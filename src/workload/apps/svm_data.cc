#include "workload/apps/svm_data.h"

namespace nm::workload::apps {
namespace {

constexpr size_t kTile = 128, kDepth = 16;
constexpr int kStyles = 4;  // ways to write a digit

// A splitmix64: millions of features are wanted, fast.
class Fast {
 public:
  explicit Fast(uint64_t seed) : state_(seed) {}
  uint32_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return static_cast<uint32_t>(z >> 32);
  }
  bool chance(double p) { return next() < p * 4294967296.0; }

 private:
  uint64_t state_;
};

}  // namespace

double SvmData::distance(size_t i, size_t j) const {
  double sum = 0;
  for (size_t f = 0; f < features; ++f) {
    const double d = static_cast<double>(value(i, f)) - static_cast<double>(value(j, f));
    sum += d * d;
  }
  return sum;
}

double SvmData::gamma() const {
  double sum = 0;
  constexpr size_t kPairs = 64;
  for (size_t p = 0; p < kPairs; ++p) sum += distance(p * 7 % instances, (p * 13 + instances / 2 + 1) % instances);
  return kPairs / sum;
}

SvmData svm_data(size_t instances, size_t features, std::mt19937_64& random) {
  SvmData data;
  data.instances = instances;
  data.features = features;
  data.stride = (instances + kTile - 1) / kTile * kTile;
  data.depth = (features + kDepth - 1) / kDepth * kDepth;
  data.values.resize(data.stride * data.depth);
  data.labels.resize(instances);
  Fast fast(random());

  // A digit's style has ink in a fifth of the features. Both digits share half of their ink.
  std::vector<uint16_t> ink(2 * kStyles * features);
  for (size_t f = 0; f < features; ++f) {
    for (size_t style = 0; style < kStyles; ++style) {
      const bool shared = fast.chance(0.5);
      const auto draw = [&] { return static_cast<uint16_t>(fast.chance(0.2) ? 300 + fast.next() % 700 : 0); };
      const uint16_t first = draw(), second = draw();
      ink[style * features + f] = first;
      ink[(kStyles + style) * features + f] = shared ? first : second;
    }
  }
  std::vector<size_t> style(instances);
  for (size_t i = 0; i < instances; ++i) {
    const bool digit = fast.chance(0.5);
    style[i] = (digit ? kStyles : 0) + fast.next() % kStyles;
    // One label in thirty is wrong, so that multipliers reach their bound too.
    data.labels[i] = digit != fast.chance(1 / 30.0) ? 1.0f : -1.0f;
  }
  data.labels[0] = 1, data.labels[1] = -1;

  std::vector<double> squares(data.stride);
  for (size_t f = 0; f < features; ++f) {
    for (size_t i = 0; i < instances; ++i) {
      const uint32_t bits = fast.next();
      uint32_t value = 0;
      // Half of the ink is there, smeared; some noise everywhere else.
      if (const uint32_t drawn = ink[style[i] * features + f]; drawn && bits % 16 < 9) {
        value = (drawn * (640 + (bits >> 8) % 384) / 1024);
      } else if (bits % 4096 < 160) {
        value = (bits >> 12) % 1000;
      }
      const float scaled = static_cast<float>(value) / 999.0f;
      data.values[f * data.stride + i] = scaled;
      squares[i] += static_cast<double>(scaled) * static_cast<double>(scaled);
    }
  }
  data.squares.assign(squares.begin(), squares.end());
  return data;
}

}  // namespace nm::workload::apps
