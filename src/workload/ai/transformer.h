// A transformer that is trained, in single precision, a kernel an operation (kernels/ai_train.cl, ai_matmul.cl):
// embeddings of tokens and positions, layers of causal attention and of an MLP with GELU, each behind a layer norm, and
// the loss of guessing the next token. All parameters lie in one buffer, and so do their gradients.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "workload/ai/tensor.h"

namespace nm::workload::ai {

struct TransformerShape {
  int layers, hidden, heads, vocabulary, batch, length;
  int rows() const { return batch * length; }
  int ffn() const { return 4 * hidden; }
};

class Transformer {
 public:
  // A tensor among the parameters.
  struct Part {
    std::string name;
    int offset, count;
    bool is_gain;  // of a norm
  };

  Transformer(Run& run, const TransformerShape& shape);

  const std::vector<Part>& parts() const { return parts_; }
  int parameter_count() const { return count_; }
  const device::Buffer& parameters() const { return parameters_; }
  const device::Buffer& gradients() const { return gradients_; }
  // Parameters as they were made: matrices random, gains one.
  double initial(int index) const;

  void set_batch(const std::vector<int>& tokens, const std::vector<int>& targets);
  // These only enqueue.
  void forward();   // the loss, and the logits' gradient
  void backward();  // the parameters' gradients
  void update();    // AdamW
  // Parameters moved along the gradient, for a derivative by differences; restore() moves them back.
  void shift(float scale);
  void restore();
  double gradient_square();

  float loss();                 // waits
  std::vector<float> losses();  // a row's each

  // The losses of the first `length` rows of the first sequence, in double precision on the host.
  std::vector<double> reference(const std::function<double(int)>& parameter, const std::vector<int>& tokens,
                                const std::vector<int>& targets, int length) const;

  static constexpr double kRate = 1e-3, kDecay = 0.01;

 private:
  struct Layer {
    int norm1, qkv, out, norm2, up, down;  // offsets of parameters
    device::Buffer x, normed1, scales1, input1, projected, weights, attended;
    device::Buffer middle, normed2, scales2, input2, inner, active;
  };
  // A matrix in a buffer: element (i, j) of batch (outer, inner).
  struct Matrix {
    const device::Buffer& data;
    int offset, row, column, outer = 0, inner = 0;
  };
  void matmul(const Matrix& a, const Matrix& b, const Matrix& c, int m, int n, int k, float alpha = 1, float beta = 0,
              int batches = 1, int inner = 1);
  // y = x Wᵀ (+ y), and back: dx = dy W, dW = dyᵀ x.
  void linear(const device::Buffer& x, int w, const device::Buffer& y, int outputs, int inputs, float beta = 0);
  void linear_back(const device::Buffer& dy, const device::Buffer& x, int w, const device::Buffer& dx, int outputs,
                   int inputs);
  void norm(const device::Buffer& x, int gain, const device::Buffer& out, const device::Buffer& normed,
            const device::Buffer& scales);
  void norm_back(const device::Buffer& dy, int gain, const device::Buffer& normed, const device::Buffer& scales,
                 float keep);
  int part(const std::string& name, int count);
  // Found once: asking the driver for a function is no part of a step.
  const device::Kernel& kernel(std::string_view source, std::string_view variant, const char* function);
  template <typename... A>
  void launch(const char* function, device::Size3 blocks, const A&... arguments) {
    device_.launch(kernel("ai_train", "sp", function), blocks, {256}, arguments...);
  }

  Run& run_;
  device::Device& device_;
  TransformerShape shape_;
  int count_ = 0, steps_ = 0;
  std::vector<Part> parts_;
  std::map<std::string, device::Kernel, std::less<>> kernels_;
  int tokens_table_, positions_table_, norm_final_, unembedding_;
  std::vector<Layer> layers_;
  Uniform initial_;
  device::Buffer parameters_, gradients_, moments1_, moments2_, kept_;
  device::Buffer tokens_, targets_, last_, normed_final_, scales_final_, input_final_, logits_, losses_, loss_;
  device::Buffer dx_, d_hidden_, d_wide_, d_weights_, column_parts_, square_parts_;
};

}  // namespace nm::workload::ai
