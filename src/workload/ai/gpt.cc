#include "workload/ai/gpt.h"

#include <cmath>

namespace nm::workload::ai {
namespace {

uint32_t blocks_for(int n, int threads = 256) { return static_cast<uint32_t>((n + threads - 1) / threads); }
size_t product(int a, int b) { return static_cast<size_t>(a) * static_cast<size_t>(b); }
// Numbers of this scale keep the variance of what they weigh.
float keeps_variance(int terms) { return std::sqrt(3.0f / static_cast<float>(terms)); }

std::vector<float> random_gains(Run& run, int count) {
  std::vector<float> gains(static_cast<size_t>(count));
  for (float& gain : gains) gain = 0.5f + static_cast<float>(run.random()() >> 40) / (1 << 24);
  return gains;
}

}  // namespace

GptShape gpt_shape(const Run& run) {
  return run.pick(GptShape{2, 128, 2, 1, 64, 256, 512, 64}, GptShape{12, 768, 12, 12, 64, 3072, 32768, 1088},
                  GptShape{16, 2048, 32, 8, 64, 8192, 32768, 4096});
}

Gpt::Gpt(Run& run, const GptShape& shape)
    : run_(run), device_(run.device()), shape_(shape), gemm_(run, "bf16"), attention_(run, shape.width) {
  const auto kernel = [&](const char* name) { return device_.kernel("ai_gpt", "sp", name); };
  kernels_ = {kernel("embed"), kernel("rms_norm"),   kernel("rms_norm_rows"),   kernel("gemv"),
              kernel("rope"),  kernel("rope_rows"),  kernel("append"),          kernel("attend"),
              kernel("add"),   kernel("silu_times"), kernel("silu_times_rows"), kernel("argmax")};
  const int hidden = shape.hidden, kv = shape.kv_hidden(), ffn = shape.ffn, positions = shape.positions;
  embedding_ = random_bf16(run, product(shape.vocabulary, hidden), 1.7320508f);
  unembedding_ = random_bf16(run, product(shape.vocabulary, hidden), keeps_variance(hidden));
  // What 2 · layers branches add to the residual stream should not drown it.
  const float branch = 1.0f / std::sqrt(2.0f * static_cast<float>(shape.layers));
  for (int i = 0; i < shape.layers; ++i) {
    Layer layer{random_bf16(run, product(hidden, hidden), keeps_variance(hidden)),
                random_bf16(run, product(kv, hidden), keeps_variance(hidden)),
                random_bf16(run, product(kv, hidden), keeps_variance(hidden)),
                random_bf16(run, product(hidden, hidden), branch * keeps_variance(hidden)),
                random_bf16(run, product(ffn, hidden), keeps_variance(hidden)),
                random_bf16(run, product(ffn, hidden), keeps_variance(hidden)),
                random_bf16(run, product(hidden, ffn), branch * keeps_variance(ffn)),
                random_gains(run, hidden),
                random_gains(run, hidden),
                {},
                {},
                {},
                {}};
    layer.norm_attention = device_.upload(layer.gain_attention);
    layer.norm_mlp = device_.upload(layer.gain_mlp);
    layer.keys = poisoned(run, product(positions, kv) * 2);
    layer.values = poisoned(run, product(positions, kv) * 2);
    layers_.push_back(std::move(layer));
  }
  gain_final_ = random_gains(run, hidden);
  norm_final_ = device_.upload(gain_final_);
  for (int p = 0; p < positions; ++p) {
    for (int i = 0; i < shape.width / 2; ++i) {
      const double angle = p * std::pow(10000.0, -2.0 * i / shape.width);
      turns_.push_back(static_cast<float>(std::cos(angle)));
      turns_.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  turns_data_ = device_.upload(turns_);
  const auto floats = [&](int count) { return poisoned(run, static_cast<size_t>(count) * 4); };
  token_ = floats(1), position_ = floats(1), x_ = floats(hidden), normed_ = floats(hidden), q_ = floats(hidden);
  k_ = floats(kv), v_ = floats(kv), attended_ = floats(hidden), projected_ = floats(hidden), gate_ = floats(ffn);
  up_ = floats(ffn), product_ = floats(ffn), logits_ = floats(shape.vocabulary);
}

int Gpt::step() {
  const int hidden = shape_.hidden, kv = shape_.kv_hidden(), ffn = shape_.ffn, width = shape_.width;
  const float scale = 1.0f / std::sqrt(static_cast<float>(width));
  int launches = 0;
  const auto launch = [&](const device::Kernel& kernel, uint32_t blocks, uint32_t threads, const auto&... arguments) {
    device_.launch(kernel, {blocks}, {threads}, arguments...);
    ++launches;
  };
  const auto gemv = [&](const Tensor& w, const device::Buffer& x, const device::Buffer& y, int n, int k) {
    launch(kernels_.gemv, blocks_for(n, 8), 128, w.data, x, y, n, k);
  };
  const auto add = [&](const device::Buffer& y) { launch(kernels_.add, blocks_for(hidden), 256, x_, y, hidden); };
  launch(kernels_.embed, 1, 256, token_, embedding_.data, x_, hidden);
  for (Layer& layer : layers_) {
    launch(kernels_.rms_norm, 1, 256, x_, layer.norm_attention, normed_, hidden);
    gemv(layer.q, normed_, q_, hidden, hidden);
    gemv(layer.k, normed_, k_, kv, hidden);
    gemv(layer.v, normed_, v_, kv, hidden);
    launch(kernels_.rope, blocks_for(hidden / 2), 256, q_, turns_data_, position_, shape_.heads, width);
    launch(kernels_.rope, blocks_for(kv / 2), 256, k_, turns_data_, position_, shape_.kv_heads, width);
    launch(kernels_.append, blocks_for(kv), 256, k_, layer.keys, position_, kv);
    launch(kernels_.append, blocks_for(kv), 256, v_, layer.values, position_, kv);
    launch(kernels_.attend, static_cast<uint32_t>(shape_.heads), 256, q_, layer.keys, layer.values, attended_,
           position_, shape_.heads / shape_.kv_heads, shape_.kv_heads, width, scale);
    gemv(layer.out, attended_, projected_, hidden, hidden);
    add(projected_);
    launch(kernels_.rms_norm, 1, 256, x_, layer.norm_mlp, normed_, hidden);
    gemv(layer.gate, normed_, gate_, ffn, hidden);
    gemv(layer.up, normed_, up_, ffn, hidden);
    launch(kernels_.silu_times, blocks_for(ffn), 256, gate_, up_, product_, ffn);
    gemv(layer.down, product_, projected_, hidden, ffn);
    add(projected_);
  }
  launch(kernels_.rms_norm, 1, 256, x_, norm_final_, normed_, hidden);
  gemv(unembedding_, normed_, logits_, shape_.vocabulary, hidden);
  launch(kernels_.argmax, 1, 1024, logits_, token_, position_, shape_.vocabulary);
  return launches;
}

void Gpt::head() {
  device_.launch(kernels_.rms_norm, {1}, {256}, x_, norm_final_, normed_, shape_.hidden);
  device_.launch(kernels_.gemv, {blocks_for(shape_.vocabulary, 8)}, {128}, unembedding_.data, normed_, logits_,
                 shape_.vocabulary, shape_.hidden);
}

void Gpt::prefill(int count) {
  const int hidden = shape_.hidden, kv = shape_.kv_hidden(), ffn = shape_.ffn, width = shape_.width;
  if (rows_.bytes() == 0) {
    const auto rows = [&](int columns, size_t bytes) {
      return poisoned(run_, product(shape_.positions, columns) * bytes);
    };
    tokens_ = rows(1, 4), rows_ = rows(hidden, 4), rows_normed_ = rows(hidden, 2), rows_q_ = rows(hidden, 2);
    rows_attended_ = rows(hidden, 2), rows_gate_ = rows(ffn, 2), rows_up_ = rows(ffn, 2);
  }
  if (count == 0) return;
  const auto tall = static_cast<uint32_t>(count);
  AttentionShape shape{.length = count,
                       .heads = shape_.heads,
                       .group = shape_.heads / shape_.kv_heads,
                       .width = width,
                       .q_stride = hidden,
                       .kv_stride = kv,
                       .out_stride = hidden,
                       .causal = true};
  const GemmExtras onto_rows{.residual = &rows_};
  device_.launch(kernels_.embed, {tall}, {256}, tokens_, embedding_.data, rows_, hidden);
  for (Layer& layer : layers_) {
    device_.launch(kernels_.rms_norm_rows, {tall}, {256}, rows_, layer.norm_attention, rows_normed_, hidden);
    gemm_(rows_normed_, layer.q.data, rows_q_, count, hidden, hidden);
    gemm_(rows_normed_, layer.k.data, layer.keys, count, kv, hidden);
    gemm_(rows_normed_, layer.v.data, layer.values, count, kv, hidden);
    device_.launch(kernels_.rope_rows, {blocks_for(hidden / 2), tall}, {256}, rows_q_, turns_data_, shape_.heads,
                   width);
    device_.launch(kernels_.rope_rows, {blocks_for(kv / 2), tall}, {256}, layer.keys, turns_data_, shape_.kv_heads,
                   width);
    attention_(rows_q_, layer.keys, layer.values, rows_attended_, shape);
    gemm_(rows_attended_, layer.out.data, rows_, count, hidden, hidden, kFloatOut | kResidual, onto_rows);
    device_.launch(kernels_.rms_norm_rows, {tall}, {256}, rows_, layer.norm_mlp, rows_normed_, hidden);
    gemm_(rows_normed_, layer.gate.data, rows_gate_, count, ffn, hidden);
    gemm_(rows_normed_, layer.up.data, rows_up_, count, ffn, hidden);
    const int eights = static_cast<int>(product(count, ffn) / 8);
    device_.launch(kernels_.silu_times_rows, {blocks_for(eights)}, {256}, rows_gate_, rows_up_, rows_gate_, eights);
    gemm_(rows_gate_, layer.down.data, rows_, count, hidden, ffn, kFloatOut | kResidual, onto_rows);
  }
  // A prompt's answer begins with its last row.
  finish_row(count - 1);
}

void Gpt::finish_row(int row) {
  device_.copy(x_, 0, rows_, product(row, shape_.hidden) * 4, static_cast<size_t>(shape_.hidden) * 4);
  head();
}

void Gpt::set_token(int token) { device_.write(token_, 0, &token, 4); }
int Gpt::get_token() {
  int token = -1;
  device_.read(token_, 0, &token, 4);
  return token;
}

std::vector<std::vector<double>> Gpt::reference(const std::vector<int>& tokens) const {
  using Rows = std::vector<std::vector<double>>;
  const size_t count = tokens.size(), width = static_cast<size_t>(shape_.width);
  const auto group = static_cast<size_t>(shape_.heads / shape_.kv_heads);
  const auto hidden = static_cast<size_t>(shape_.hidden);
  // Every row of the weights is made once, for all tokens.
  const auto linear = [&](const Tensor& w, const Rows& x, int outputs) {
    const size_t n = static_cast<size_t>(outputs), k = x[0].size();
    Rows y(count, std::vector<double>(n));
    in_parallel((n + 63) / 64, [&](size_t part) {
      std::vector<double> row(k);
      for (size_t i = part * 64; i < std::min(n, part * 64 + 64); ++i) {
        for (size_t j = 0; j < k; ++j) row[j] = w.at(i * k + j);
        for (size_t p = 0; p < count; ++p) y[p][i] = dot(row.data(), x[p].data(), k);
      }
    });
    return y;
  };
  const auto norm = [&](const Rows& x, const std::vector<float>& gain) {
    Rows y = x;
    for (std::vector<double>& row : y) {
      double square = 0;
      for (const double v : row) square += v * v;
      const double scale = 1 / std::sqrt(square / static_cast<double>(row.size()) + 1e-5);
      for (size_t i = 0; i < row.size(); ++i) row[i] *= scale * static_cast<double>(gain[i]);
    }
    return y;
  };
  const auto turn = [&](Rows& x) {
    for (size_t p = 0; p < count; ++p) {
      for (size_t head = 0; head < x[p].size() / width; ++head) {
        for (size_t i = 0; i < width / 2; ++i) {
          const auto c = static_cast<double>(turns_[(p * width / 2 + i) * 2]);
          const auto s = static_cast<double>(turns_[(p * width / 2 + i) * 2 + 1]);
          double &a = x[p][head * width + i], &b = x[p][head * width + width / 2 + i];
          const double turned = a * c - b * s;
          b = a * s + b * c;
          a = turned;
        }
      }
    }
  };
  const auto add = [&](Rows& x, const Rows& y) {
    for (size_t p = 0; p < count; ++p) {
      for (size_t i = 0; i < hidden; ++i) x[p][i] += y[p][i];
    }
  };

  Rows x(count, std::vector<double>(hidden));
  for (size_t p = 0; p < count; ++p) {
    for (size_t i = 0; i < hidden; ++i) x[p][i] = embedding_.at(static_cast<size_t>(tokens[p]) * hidden + i);
  }
  for (const Layer& layer : layers_) {
    const Rows normed = norm(x, layer.gain_attention);
    Rows q = linear(layer.q, normed, shape_.hidden), k = linear(layer.k, normed, shape_.kv_hidden());
    const Rows v = linear(layer.v, normed, shape_.kv_hidden());
    turn(q), turn(k);
    Rows attended(count, std::vector<double>(hidden));
    for (size_t p = 0; p < count; ++p) {
      for (size_t head = 0; head < hidden / width; ++head) {
        const size_t shared = head / group * width;
        std::vector<double> score(p + 1);
        double most = -1e300, sum = 0;
        for (size_t j = 0; j <= p; ++j) {
          for (size_t i = 0; i < width; ++i) score[j] += q[p][head * width + i] * k[j][shared + i];
          score[j] /= std::sqrt(static_cast<double>(width));
          most = std::max(most, score[j]);
        }
        for (double& s : score) sum += s = std::exp(s - most);
        for (size_t j = 0; j <= p; ++j) {
          for (size_t i = 0; i < width; ++i) attended[p][head * width + i] += score[j] / sum * v[j][shared + i];
        }
      }
    }
    add(x, linear(layer.out, attended, shape_.hidden));
    const Rows inner = norm(x, layer.gain_mlp);
    Rows gate = linear(layer.gate, inner, shape_.ffn);
    const Rows up = linear(layer.up, inner, shape_.ffn);
    for (size_t p = 0; p < count; ++p) {
      for (size_t i = 0; i < gate[p].size(); ++i) gate[p][i] = gate[p][i] / (1 + std::exp(-gate[p][i])) * up[p][i];
    }
    add(x, linear(layer.down, gate, shape_.hidden));
  }
  return linear(unembedding_, norm(x, gain_final_), shape_.vocabulary);
}

}  // namespace nm::workload::ai
