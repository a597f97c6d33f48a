#include "workload/ai/transformer.h"

#include <algorithm>
#include <cmath>

namespace nm::workload::ai {
namespace {

constexpr int kGainParts = 32;

uint32_t blocks_for(int n) { return static_cast<uint32_t>((n + 255) / 256); }

}  // namespace

int Transformer::part(const std::string& name, int count) {
  parts_.push_back({name, count_, count, name.starts_with("norm")});
  count_ += count;
  return count_ - count;
}

Transformer::Transformer(Run& run, const TransformerShape& shape)
    : run_(run), device_(run.device()), shape_(shape), initial_{} {
  const int h = shape.hidden, f = shape.ffn(), r = shape.rows();
  tokens_table_ = part("tokens", shape.vocabulary * h);
  positions_table_ = part("positions", shape.length * h);
  const auto floats = [&](int64_t count) { return poisoned(run, static_cast<size_t>(count) * 4); };
  for (int i = 0; i < shape.layers; ++i) {
    const std::string at = std::to_string(i);
    Layer layer;
    layer.norm1 = part("norm1." + at, h), layer.qkv = part("qkv." + at, 3 * h * h);
    layer.out = part("out." + at, h * h), layer.norm2 = part("norm2." + at, h);
    layer.up = part("up." + at, f * h), layer.down = part("down." + at, h * f);
    layer.x = floats(r * h), layer.normed1 = floats(r * h), layer.scales1 = floats(r), layer.input1 = floats(r * h);
    layer.projected = floats(int64_t{r} * 3 * h), layer.attended = floats(r * h);
    layer.weights = floats(int64_t{shape.batch} * shape.heads * shape.length * shape.length);
    layer.middle = floats(r * h), layer.normed2 = floats(r * h), layer.scales2 = floats(r),
    layer.input2 = floats(r * h);
    layer.inner = floats(int64_t{r} * f), layer.active = floats(int64_t{r} * f);
    layers_.push_back(std::move(layer));
  }
  norm_final_ = part("norm", h), unembedding_ = part("unembedding", shape.vocabulary * h);

  Tensor random = random_float(run, static_cast<size_t>(count_), std::sqrt(3.0f / static_cast<float>(h)));
  initial_ = random.values, parameters_ = std::move(random.data);
  for (const Part& p : parts_) {
    if (p.is_gain)
      device_.fill(parameters_, static_cast<size_t>(p.offset) * 4, 0x3f800000, static_cast<size_t>(p.count) * 4);
  }
  gradients_ = floats(count_), moments1_ = floats(count_), moments2_ = floats(count_);
  device_.fill(moments1_, 0, 0, moments1_.bytes());
  device_.fill(moments2_, 0, 0, moments2_.bytes());
  tokens_ = floats(r), targets_ = floats(r), last_ = floats(r * h), normed_final_ = floats(r * h);
  scales_final_ = floats(r), input_final_ = floats(r * h), logits_ = floats(int64_t{r} * shape.vocabulary);
  losses_ = floats(r), loss_ = floats(1), dx_ = floats(r * h), d_hidden_ = floats(r * h),
  d_wide_ = floats(int64_t{r} * f);
  d_weights_ = floats(int64_t{shape.batch} * shape.heads * shape.length * shape.length);
  column_parts_ = floats(kGainParts * h), square_parts_ = floats(1024);
}

double Transformer::initial(int index) const {
  const auto next =
      std::upper_bound(parts_.begin(), parts_.end(), index, [](int i, const Part& p) { return i < p.offset; });
  if (std::prev(next)->is_gain) return 1;
  return static_cast<double>(initial_.exact(static_cast<uint32_t>(index)));
}

const device::Kernel& Transformer::kernel(std::string_view source, std::string_view variant, const char* function) {
  const std::string name = std::string(source) + "." + std::string(variant) + "." + function;
  auto found = kernels_.find(name);
  if (found == kernels_.end()) found = kernels_.emplace(name, device_.kernel(source, variant, function)).first;
  return found->second;
}

void Transformer::matmul(const Matrix& a, const Matrix& b, const Matrix& c, int m, int n, int k, float alpha,
                         float beta, int batches, int inner) {
  // Large tiles where they still fill the device.
  const int large = ((n + 127) / 128) * ((m + 127) / 128) * batches;
  const int tile = n >= 128 && m >= 128 && large >= run_.info().multiprocessors ? 128 : 64;
  const device::Size3 blocks{static_cast<uint32_t>((n + tile - 1) / tile), static_cast<uint32_t>((m + tile - 1) / tile),
                             static_cast<uint32_t>(batches)};
  device_.launch(kernel("ai_matmul", tile == 64 ? "t64" : "t128", "matmul"), blocks, {256}, a.data, b.data, c.data,
                 a.offset, a.row, a.column, a.outer, a.inner, b.offset, b.row, b.column, b.outer, b.inner, c.offset,
                 c.row, c.column, c.outer, c.inner, inner, m, n, k, alpha, beta);
}

void Transformer::linear(const device::Buffer& x, int w, const device::Buffer& y, int outputs, int inputs, float beta) {
  matmul({x, 0, inputs, 1}, {parameters_, w, 1, inputs}, {y, 0, outputs, 1}, shape_.rows(), outputs, inputs, 1, beta);
}
void Transformer::linear_back(const device::Buffer& dy, const device::Buffer& x, int w, const device::Buffer& dx,
                              int outputs, int inputs) {
  matmul({dy, 0, 1, outputs}, {x, 0, inputs, 1}, {gradients_, w, inputs, 1}, outputs, inputs, shape_.rows());
  matmul({dy, 0, outputs, 1}, {parameters_, w, inputs, 1}, {dx, 0, inputs, 1}, shape_.rows(), inputs, outputs);
}
void Transformer::norm(const device::Buffer& x, int gain, const device::Buffer& out, const device::Buffer& normed,
                       const device::Buffer& scales) {
  launch("layer_norm", {static_cast<uint32_t>(shape_.rows())}, x, parameters_, gain, out, normed, scales,
         shape_.hidden);
}
void Transformer::norm_back(const device::Buffer& dy, int gain, const device::Buffer& normed,
                            const device::Buffer& scales, float keep) {
  const int h = shape_.hidden;
  launch("gain_back", {blocks_for(h), kGainParts}, dy, normed, column_parts_, shape_.rows(), h);
  launch("gain_finish", {blocks_for(h)}, column_parts_, gradients_, gain, kGainParts, h);
  launch("layer_norm_back", {static_cast<uint32_t>(shape_.rows())}, dy, normed, scales, parameters_, gain, dx_, h,
         keep);
}

void Transformer::set_batch(const std::vector<int>& tokens, const std::vector<int>& targets) {
  device_.write(tokens_, 0, tokens.data(), tokens.size() * 4);
  device_.write(targets_, 0, targets.data(), targets.size() * 4);
}

// Heads of a buffer of rows of `stride` numbers, from `offset` on: element (position, d) of (sequence, head).
#define HEADS(buffer, offset, stride) \
  { buffer, offset, stride, 1, length*(stride), width }
#define HEADS_TURNED(buffer, offset, stride) \
  { buffer, offset, 1, stride, length*(stride), width }

void Transformer::forward() {
  const int h = shape_.hidden, f = shape_.ffn(), r = shape_.rows(), length = shape_.length, heads = shape_.heads;
  const int width = h / heads, squares = length * length, batches = shape_.batch * heads;
  const auto tall = static_cast<uint32_t>(r);
  const size_t bytes = static_cast<size_t>(r) * static_cast<size_t>(h) * 4;
  launch("embed", {tall}, parameters_, tokens_, layers_[0].x, tokens_table_, positions_table_, length, h);
  for (size_t i = 0; i < layers_.size(); ++i) {
    Layer& layer = layers_[i];
    const device::Buffer& next = i + 1 < layers_.size() ? layers_[i + 1].x : last_;
    norm(layer.x, layer.norm1, layer.input1, layer.normed1, layer.scales1);
    linear(layer.input1, layer.qkv, layer.projected, 3 * h, h);
    const Matrix weights{layer.weights, 0, length, 1, heads * squares, squares};
    matmul(HEADS(layer.projected, 0, 3 * h), HEADS_TURNED(layer.projected, h, 3 * h), weights, length, length, width,
           1 / std::sqrt(static_cast<float>(width)), 0, batches, heads);
    launch("softmax", {static_cast<uint32_t>(batches * length)}, layer.weights, length);
    matmul(weights, HEADS(layer.projected, 2 * h, 3 * h), HEADS(layer.attended, 0, h), length, width, length, 1, 0,
           batches, heads);
    device_.copy(layer.middle, 0, layer.x, 0, bytes);
    linear(layer.attended, layer.out, layer.middle, h, h, 1);
    norm(layer.middle, layer.norm2, layer.input2, layer.normed2, layer.scales2);
    linear(layer.input2, layer.up, layer.inner, f, h);
    launch("gelu_forward", {blocks_for(r * f)}, layer.inner, layer.active, r * f);
    device_.copy(next, 0, layer.middle, 0, bytes);
    linear(layer.active, layer.down, next, h, f, 1);
  }
  norm(last_, norm_final_, input_final_, normed_final_, scales_final_);
  linear(input_final_, unembedding_, logits_, shape_.vocabulary, h);
  launch("cross_entropy", {tall}, logits_, targets_, losses_, shape_.vocabulary, 1 / static_cast<float>(r));
  launch("mean", {1}, losses_, loss_, r);
}

void Transformer::backward() {
  const int h = shape_.hidden, f = shape_.ffn(), r = shape_.rows(), length = shape_.length, heads = shape_.heads;
  const int width = h / heads, squares = length * length, batches = shape_.batch * heads;
  const float scale = 1 / std::sqrt(static_cast<float>(width));
  linear_back(logits_, input_final_, unembedding_, d_hidden_, shape_.vocabulary, h);
  norm_back(d_hidden_, norm_final_, normed_final_, scales_final_, 0);
  for (size_t i = layers_.size(); i-- > 0;) {
    Layer& layer = layers_[i];
    linear_back(dx_, layer.active, layer.down, d_wide_, h, f);
    launch("gelu_back", {blocks_for(r * f)}, layer.inner, d_wide_, r * f);
    linear_back(d_wide_, layer.input2, layer.up, d_hidden_, f, h);
    norm_back(d_hidden_, layer.norm2, layer.normed2, layer.scales2, 1);

    linear_back(dx_, layer.attended, layer.out, d_hidden_, h, h);
    // d_wide_ now holds the gradients of queries, keys and values, rows of 3 h.
    const Matrix weights_turned{layer.weights, 0, 1, length, heads * squares, squares};
    const Matrix scores{d_weights_, 0, length, 1, heads * squares, squares};
    const Matrix scores_turned{d_weights_, 0, 1, length, heads * squares, squares};
    matmul(weights_turned, HEADS(d_hidden_, 0, h), HEADS(d_wide_, 2 * h, 3 * h), length, width, length, 1, 0, batches,
           heads);
    matmul(HEADS(d_hidden_, 0, h), HEADS_TURNED(layer.projected, 2 * h, 3 * h), scores, length, length, width, 1, 0,
           batches, heads);
    launch("softmax_back", {static_cast<uint32_t>(batches * length)}, layer.weights, d_weights_, length);
    matmul(scores, HEADS(layer.projected, h, 3 * h), HEADS(d_wide_, 0, 3 * h), length, width, length, scale, 0, batches,
           heads);
    matmul(scores_turned, HEADS(layer.projected, 0, 3 * h), HEADS(d_wide_, h, 3 * h), length, width, length, scale, 0,
           batches, heads);
    linear_back(d_wide_, layer.input1, layer.qkv, d_hidden_, 3 * h, h);
    norm_back(d_hidden_, layer.norm1, layer.normed1, layer.scales1, 1);
  }
  launch("embed_back", {static_cast<uint32_t>(shape_.vocabulary)}, dx_, tokens_, gradients_, tokens_table_, r, h);
  launch("positions_back", {blocks_for(length * h)}, dx_, gradients_, positions_table_, shape_.batch, length, h);
}

void Transformer::update() {
  ++steps_;
  const auto unbias = [&](double beta) { return static_cast<float>(1 / (1 - std::pow(beta, steps_))); };
  launch("adamw", {std::min(blocks_for(count_), 8192u)}, parameters_, gradients_, moments1_, moments2_, count_,
         static_cast<float>(kRate), static_cast<float>(kDecay), unbias(0.9), unbias(0.999));
}

void Transformer::shift(float scale) {
  if (kept_.bytes() == 0) {
    kept_ = device_.allocate(parameters_.bytes());
    device_.copy(kept_, 0, parameters_, 0, parameters_.bytes());
  }
  launch("add_scaled", {std::min(blocks_for(count_), 8192u)}, kept_, gradients_, parameters_, scale, count_);
}
void Transformer::restore() { device_.copy(parameters_, 0, kept_, 0, parameters_.bytes()); }
double Transformer::gradient_square() {
  launch("squares", {1024}, gradients_, square_parts_, count_);
  double sum = 0;
  for (const float part : download_float(run_, square_parts_, 0, 1024)) sum += static_cast<double>(part);
  return sum;
}

float Transformer::loss() { return download_float(run_, loss_, 0, 1)[0]; }
std::vector<float> Transformer::losses() {
  return download_float(run_, losses_, 0, static_cast<size_t>(shape_.rows()));
}

std::vector<double> Transformer::reference(const std::function<double(int)>& parameter, const std::vector<int>& tokens,
                                           const std::vector<int>& targets, int length) const {
  using Rows = std::vector<std::vector<double>>;
  const auto count = static_cast<size_t>(length), h = static_cast<size_t>(shape_.hidden);
  const size_t width = h / static_cast<size_t>(shape_.heads);
  const auto linear = [&](const Rows& x, int w, size_t outputs) {
    Rows y(count, std::vector<double>(outputs));
    const size_t k = x[0].size();
    const auto some = [&](size_t part) {
      std::vector<double> row(k);
      for (size_t i = part * 64; i < std::min(outputs, part * 64 + 64); ++i) {
        for (size_t j = 0; j < k; ++j) row[j] = parameter(w + static_cast<int>(i * k + j));
        for (size_t p = 0; p < count; ++p) y[p][i] = dot(row.data(), x[p].data(), k);
      }
    };
    if (outputs * k < 100000) {
      for (size_t part = 0; part < (outputs + 63) / 64; ++part) some(part);
    } else {
      in_parallel((outputs + 63) / 64, some);
    }
    return y;
  };
  const auto norm = [&](const Rows& x, int gain) {
    Rows y = x;
    for (std::vector<double>& row : y) {
      double mean = 0, variance = 0;
      for (const double v : row) mean += v / static_cast<double>(h);
      for (const double v : row) variance += (v - mean) * (v - mean) / static_cast<double>(h);
      for (size_t i = 0; i < h; ++i)
        row[i] = (row[i] - mean) / std::sqrt(variance + 1e-5) * parameter(gain + static_cast<int>(i));
    }
    return y;
  };
  const auto add = [&](Rows& x, const Rows& y) {
    for (size_t p = 0; p < count; ++p) {
      for (size_t i = 0; i < h; ++i) x[p][i] += y[p][i];
    }
  };
  Rows x(count, std::vector<double>(h));
  for (size_t p = 0; p < count; ++p) {
    for (size_t i = 0; i < h; ++i) {
      x[p][i] = parameter(tokens_table_ + tokens[p] * shape_.hidden + static_cast<int>(i)) +
                parameter(positions_table_ + static_cast<int>(p * h + i));
    }
  }
  for (const Layer& layer : layers_) {
    const Rows qkv = linear(norm(x, layer.norm1), layer.qkv, 3 * h);
    Rows attended(count, std::vector<double>(h));
    for (size_t p = 0; p < count; ++p) {
      for (size_t head = 0; head < h; head += width) {
        std::vector<double> score(p + 1);
        double most = -1e300, sum = 0;
        for (size_t j = 0; j <= p; ++j) {
          score[j] = dot(&qkv[p][head], &qkv[j][h + head], width) / std::sqrt(static_cast<double>(width));
          most = std::max(most, score[j]);
        }
        for (double& s : score) sum += s = std::exp(s - most);
        for (size_t j = 0; j <= p; ++j) {
          for (size_t i = 0; i < width; ++i) attended[p][head + i] += score[j] / sum * qkv[j][2 * h + head + i];
        }
      }
    }
    add(x, linear(attended, layer.out, h));
    Rows inner = linear(norm(x, layer.norm2), layer.up, 4 * h);
    for (std::vector<double>& row : inner) {
      for (double& v : row) v = 0.5 * v * (1 + std::tanh(0.7978845608028654 * (v + 0.044715 * v * v * v)));
    }
    add(x, linear(inner, layer.down, h));
  }
  const Rows logits = linear(norm(x, norm_final_), unembedding_, static_cast<size_t>(shape_.vocabulary));
  std::vector<double> losses(count);
  for (size_t p = 0; p < count; ++p) {
    const double most = *std::max_element(logits[p].begin(), logits[p].end());
    double sum = 0;
    for (const double v : logits[p]) sum += std::exp(v - most);
    losses[p] = std::log(sum) + most - logits[p][static_cast<size_t>(targets[p])];
  }
  return losses;
}

}  // namespace nm::workload::ai
