// AiBertLayer: one layer of a BERT encoder, forward, on a batch of sequences: queries, keys and values by one product,
// attention over whole sequences, the output's projection, layer norm, and the feed-forward net with GELU. Bound by
// arithmetic. ci: a toy; shoc: BERT base's layer, 8 sequences of 128; gpu: BERT large's, 64 of 512. Whole sequences are
// compared with the layer in double precision.
#include <cmath>

#include "workload/ai/attention.h"
#include "workload/ai/gemm.h"
#include "workload/ai/programs.h"
#include "workload/ai/tensor.h"

namespace nm::workload::ai {
namespace {

struct Vector {
  std::vector<float> values;
  device::Buffer data;
};
Vector random_vector(Run& run, int count, float middle) {
  Vector vector;
  for (int i = 0; i < count; ++i)
    vector.values.push_back(middle - 0.5f + static_cast<float>(run.random()() >> 40) / (1 << 24));
  vector.data = run.device().upload(vector.values);
  return vector;
}

using Rows = std::vector<std::vector<double>>;

void linear(const Rows& x, const Tensor& w, const Vector& bias, Rows& y) {
  const size_t n = bias.values.size(), k = x[0].size();
  y.assign(x.size(), std::vector<double>(n));
  in_parallel((n + 31) / 32, [&](size_t part) {
    std::vector<double> row(k);
    for (size_t i = part * 32; i < std::min(n, part * 32 + 32); ++i) {
      for (size_t j = 0; j < k; ++j) row[j] = w.at(i * k + j);
      for (size_t r = 0; r < x.size(); ++r)
        y[r][i] = static_cast<double>(bias.values[i]) + dot(row.data(), x[r].data(), k);
    }
  });
}

void add_and_norm(Rows& x, const Rows& y, const Vector& gain, const Vector& bias) {
  for (size_t r = 0; r < x.size(); ++r) {
    const auto width = static_cast<double>(x[r].size());
    double mean = 0, variance = 0;
    for (size_t i = 0; i < x[r].size(); ++i) mean += (x[r][i] += y[r][i]) / width;
    for (const double v : x[r]) variance += (v - mean) * (v - mean) / width;
    for (size_t i = 0; i < x[r].size(); ++i) {
      x[r][i] = (x[r][i] - mean) / std::sqrt(variance + 1e-5) * static_cast<double>(gain.values[i]) +
                static_cast<double>(bias.values[i]);
    }
  }
}

}  // namespace

void bert_layer(Run& run) {
  device::Device& device = run.device();
  const int hidden = run.pick(128, 768, 1024), heads = hidden / 64, ffn = 4 * hidden;
  const int batch = run.pick(2, 8, 64), length = run.pick(48, 128, 512), rows = batch * length;
  const auto count = [](int a, int b) { return static_cast<size_t>(a) * static_cast<size_t>(b); };
  const auto scale = [](int terms) { return std::sqrt(3.0f / static_cast<float>(terms)); };
  const Tensor qkv_w = random_bf16(run, count(3 * hidden, hidden), scale(hidden)),
               out_w = random_bf16(run, count(hidden, hidden), scale(hidden)),
               up_w = random_bf16(run, count(ffn, hidden), scale(hidden)),
               down_w = random_bf16(run, count(hidden, ffn), scale(ffn));
  const Vector qkv_b = random_vector(run, 3 * hidden, 0), out_b = random_vector(run, hidden, 0),
               up_b = random_vector(run, ffn, 0), down_b = random_vector(run, hidden, 0),
               gain1 = random_vector(run, hidden, 1), bias1 = random_vector(run, hidden, 0),
               gain2 = random_vector(run, hidden, 1), bias2 = random_vector(run, hidden, 0);
  // The input as bf16, which the first product reads, and as floats, to which its branch is added.
  const Tensor input = random_bf16(run, count(rows, hidden), 1.7320508f);
  std::vector<float> floats(count(rows, hidden));
  for (size_t i = 0; i < floats.size(); ++i) floats[i] = input.values.bf16(static_cast<uint32_t>(i));
  const device::Buffer x = device.upload(floats);
  const device::Buffer qkv = poisoned(run, count(rows, 3 * hidden) * 2),
                       attended = poisoned(run, count(rows, hidden) * 2), sum = poisoned(run, count(rows, hidden) * 4),
                       middle = poisoned(run, count(rows, hidden) * 4),
                       middle_bf16 = poisoned(run, count(rows, hidden) * 2),
                       inner = poisoned(run, count(rows, ffn) * 2), out = poisoned(run, count(rows, hidden) * 4),
                       out_bf16 = poisoned(run, count(rows, hidden) * 2);
  Gemm gemm(run, "bf16");
  Attention attention(run, 64);
  const device::Kernel norm = device.kernel("ai_bert", "sp", "layer_norm");
  const AttentionShape shape{.batch = batch,
                             .length = length,
                             .heads = heads,
                             .group = 1,
                             .width = 64,
                             .q_stride = 3 * hidden,
                             .kv_stride = 3 * hidden,
                             .out_stride = hidden,
                             .q_offset = 0,
                             .k_offset = hidden,
                             .v_offset = 2 * hidden};
  const auto tall = static_cast<uint32_t>(rows);
  const auto layer = [&] {
    gemm(input.data, qkv_w.data, qkv, rows, 3 * hidden, hidden, kBias, {.bias = &qkv_b.data});
    attention(qkv, qkv, qkv, attended, shape);
    gemm(attended, out_w.data, sum, rows, hidden, hidden, kBias | kResidual | kFloatOut,
         {.bias = &out_b.data, .residual = &x});
    device.launch(norm, {tall}, {256}, sum, gain1.data, bias1.data, middle, middle_bf16, hidden);
    gemm(middle_bf16, up_w.data, inner, rows, ffn, hidden, kBias | kGelu, {.bias = &up_b.data});
    gemm(inner, down_w.data, sum, rows, hidden, ffn, kBias | kResidual | kFloatOut,
         {.bias = &down_b.data, .residual = &middle});
    device.launch(norm, {tall}, {256}, sum, gain2.data, bias2.data, out, out_bf16, hidden);
  };
  const int repeats = run.pick(1, 10, 2);
  const auto seconds = run.device_seconds([&] {
    for (int i = 0; i < repeats; ++i) layer();
  });
  const double work = repeats * static_cast<double>(rows) *
                      (2.0 * hidden * (4.0 * hidden + 2.0 * ffn) + 4.0 * length * static_cast<double>(hidden));
  run.sample({"ai_bert_layer", "TFLOPS"}, rates(work / 1e12, seconds));

  // One sequence in full for its keys; its rows beyond attention at some places, or everywhere at size ci.
  const size_t sequence = run.random()() % static_cast<uint64_t>(batch), first = sequence * static_cast<size_t>(length);
  const auto h = static_cast<size_t>(hidden);
  Rows whole(static_cast<size_t>(length), std::vector<double>(h));
  for (size_t r = 0; r < whole.size(); ++r) {
    for (size_t i = 0; i < h; ++i) whole[r][i] = input.at((first + r) * h + i);
  }
  Rows projected;
  linear(whole, qkv_w, qkv_b, projected);
  std::vector<size_t> chosen;
  for (size_t r = 0; r < whole.size(); r += run.size() == Size::ci ? 1 : 13) chosen.push_back(r);
  Rows mixed(chosen.size(), std::vector<double>(h)), states;
  in_parallel(chosen.size(), [&](size_t c) {
    for (size_t head = 0; head < static_cast<size_t>(heads); ++head) {
      std::vector<double> score(whole.size());
      double most = -1e300, total = 0;
      for (size_t j = 0; j < whole.size(); ++j) {
        for (size_t i = 0; i < 64; ++i)
          score[j] += projected[chosen[c]][head * 64 + i] * projected[j][h + head * 64 + i] / 8;
        most = std::max(most, score[j]);
      }
      for (double& s : score) total += s = std::exp(s - most);
      for (size_t j = 0; j < whole.size(); ++j) {
        for (size_t i = 0; i < 64; ++i)
          mixed[c][head * 64 + i] += score[j] / total * projected[j][2 * h + head * 64 + i];
      }
    }
  });
  for (const size_t r : chosen) states.push_back(whole[r]);
  Rows branch, wide;
  linear(mixed, out_w, out_b, branch);
  add_and_norm(states, branch, gain1, bias1);
  linear(states, up_w, up_b, wide);
  for (std::vector<double>& row : wide) {
    for (double& v : row) v = 0.5 * v * (1 + std::tanh(0.7978845608028654 * (v + 0.044715 * v * v * v)));
  }
  linear(wide, down_w, down_b, branch);
  add_and_norm(states, branch, gain2, bias2);
  std::vector<float> result;
  std::vector<double> reference;
  for (size_t c = 0; c < chosen.size(); ++c) {
    const auto line = download_float(run, out, (first + chosen[c]) * h, h);
    result.insert(result.end(), line.begin(), line.end());
    reference.insert(reference.end(), states[c].begin(), states[c].end());
  }
  // Six roundings to bf16 on the way, each 2⁻⁸ at most of values of the size of the result; a large error in one place
  // stands out against both.
  run.check("layer", norm_error(result, reference), 0.004);
  run.check("layer, worst element", worst_error(result, reference), 0.02);
}

}  // namespace nm::workload::ai
