// AiAttention: softmax(Q Kᵀ / √d) V for every head, fused, in bf16, with heads of 64 and 128, whole and causal. Bound
// by arithmetic on the tensor cores, and by the exponentials between the two products. Rows of the result are compared
// with the same in double precision.
#include <cmath>

#include "workload/ai/attention.h"
#include "workload/ai/programs.h"
#include "workload/ai/tensor.h"

namespace nm::workload::ai {
namespace {

void attend(Run& run, int width, bool causal) {
  const int batch = run.pick(1, 4, 4), heads = run.pick(2, 2048 / width, 2048 / width);
  const int length = run.pick(192, 2048, 8192);
  const int stride = heads * width;
  const size_t count = static_cast<size_t>(batch) * static_cast<size_t>(length) * static_cast<size_t>(stride);
  // Scores of a variance of four or so: some keys weigh much more than others.
  const Tensor q = random_bf16(run, count, 3.5f), k = random_bf16(run, count, 1.7320508f),
               v = random_bf16(run, count, 1.7320508f);
  const device::Buffer out = poisoned(run, count * 2);
  Attention attention(run, width);
  const AttentionShape shape{.batch = batch,
                             .length = length,
                             .heads = heads,
                             .group = 1,
                             .width = width,
                             .q_stride = stride,
                             .kv_stride = stride,
                             .out_stride = stride,
                             .causal = causal};
  const int repeats = run.pick(1, 10, 1);
  const auto seconds = run.device_seconds([&] {
    for (int i = 0; i < repeats; ++i) attention(q.data, k.data, v.data, out, shape);
  });
  const std::string metric = "ai_attention_d" + std::to_string(width) + (causal ? "_causal" : "");
  // Two products of length² · width a head; a causal mask leaves half.
  const double work = 4.0 * length * length * width * heads * batch * (causal ? 0.5 : 1.0);
  run.sample({metric, "TFLOPS"}, rates(repeats * work / 1e12, seconds));

  // Rows (a query of one head) all over; the first and the last of a sequence are where masks go wrong.
  struct Row {
    size_t batch, head, query;
  };
  std::vector<Row> rows;
  const auto any = [&](int n) { return static_cast<size_t>(run.random()() % static_cast<uint64_t>(n)); };
  for (int i = 0; i < run.pick(96, 128, 128); ++i) rows.push_back({any(batch), any(heads), any(length)});
  for (int head = 0; head < heads && head < 4; ++head) {
    rows.push_back({0, static_cast<size_t>(head), 0});
    rows.push_back({static_cast<size_t>(batch - 1), static_cast<size_t>(head), static_cast<size_t>(length - 1)});
  }
  const auto d = static_cast<size_t>(width);
  std::vector<double> reference(rows.size() * d);
  in_parallel(rows.size(), [&](size_t r) {
    const Row& row = rows[r];
    const auto at = [&](size_t index) {
      return (row.batch * static_cast<size_t>(length) + index) * static_cast<size_t>(stride) + row.head * d;
    };
    const size_t keys = causal ? row.query + 1 : static_cast<size_t>(length);
    std::vector<double> score(keys), query(d);
    for (size_t i = 0; i < d; ++i) query[i] = q.at(at(row.query) + i);
    double most = -1e300, sum = 0;
    for (size_t j = 0; j < keys; ++j) {
      for (size_t i = 0; i < d; ++i) score[j] += query[i] * k.at(at(j) + i);
      score[j] /= std::sqrt(static_cast<double>(width));
      most = std::max(most, score[j]);
    }
    for (double& s : score) sum += s = std::exp(s - most);
    for (size_t j = 0; j < keys; ++j) {
      for (size_t i = 0; i < d; ++i) reference[r * d + i] += score[j] / sum * v.at(at(j) + i);
    }
  });
  std::vector<float> result;
  for (const Row& row : rows) {
    const auto line = download_bf16(
        run, out, (row.batch * static_cast<size_t>(length) + row.query) * static_cast<size_t>(stride) + row.head * d,
        d);
    result.insert(result.end(), line.begin(), line.end());
  }
  // The weights are rounded to bf16 before the second product, the result after it: 2⁻⁸ at most, each; an average of
  // many values is smaller than they are, and so errors weigh more: up to twice.
  run.check(metric, worst_error(result, reference), 1.0 / 64);
}

}  // namespace

void attention(Run& run) {
  for (const int width : {64, 128}) {
    attend(run, width, false);
    attend(run, width, true);
  }
}

}  // namespace nm::workload::ai
