// AiTrainStep: training a small transformer, a step after the other: forward, loss, backward, AdamW, all in single
// precision and a kernel an operation, and the loss read back every step, as a training loop does. Bound by arithmetic
// in the matrix products and by the way to the device for the rest; timed by the host's clock.
//
// Checked: losses against the same model in double precision on the host; gradients against derivatives by differences:
// those of the device's own loss along the gradient, and at size ci those of the host's model, a random direction in
// every tensor of the parameters; AdamW's first step against its formula (ci); and the loss falls.
#include <cmath>

#include "workload/ai/programs.h"
#include "workload/ai/transformer.h"

namespace nm::workload::ai {
namespace {

// The derivative of the host's loss along a random direction in each tensor, against the device's gradient.
double worst_derivative(Run& run, const Transformer& model, const TransformerShape& shape,
                        const std::vector<float>& gradients, const std::vector<int>& tokens,
                        const std::vector<int>& targets) {
  std::vector<double> parameters(static_cast<size_t>(model.parameter_count()));
  for (size_t i = 0; i < parameters.size(); ++i) parameters[i] = model.initial(static_cast<int>(i));
  const auto loss = [&] {
    double sum = 0;
    for (int b = 0; b < shape.batch; ++b) {
      const auto begin = static_cast<long>(b) * shape.length;
      for (const double l :
           model.reference([&](int i) { return parameters[static_cast<size_t>(i)]; },
                           {tokens.begin() + begin, tokens.begin() + begin + shape.length},
                           {targets.begin() + begin, targets.begin() + begin + shape.length}, shape.length))
        sum += l / shape.rows();
    }
    return sum;
  };
  double worst = 0;
  for (const Transformer::Part& part : model.parts()) {
    const auto first = static_cast<size_t>(part.offset), count = static_cast<size_t>(part.count);
    const std::vector<double> kept(parameters.begin() + part.offset, parameters.begin() + part.offset + part.count);
    std::vector<double> direction(count);
    for (double& d : direction) d = static_cast<double>(run.random()() >> 40) / (1 << 23) - 1;
    double along = 0, length = 0;
    for (size_t i = 0; i < count; ++i) {
      along += direction[i] * static_cast<double>(gradients[first + i]);
      length += static_cast<double>(gradients[first + i]) * static_cast<double>(gradients[first + i]) / 3;
    }
    const double step = 1e-5;
    double difference = 0;
    for (const double sign : {1.0, -1.0}) {
      for (size_t i = 0; i < count; ++i) parameters[first + i] = kept[i] + sign * step * direction[i];
      difference += sign * loss();
    }
    std::copy(kept.begin(), kept.end(), parameters.begin() + part.offset);
    // Against the size that such a product has, as it may be near zero by chance.
    worst = std::max(worst, std::abs(difference / (2 * step) - along) / std::sqrt(length));
  }
  return worst;
}

}  // namespace

void train_step(Run& run) {
  const TransformerShape shape =
      run.pick(TransformerShape{2, 32, 2, 48, 2, 12}, TransformerShape{6, 384, 6, 1024, 8, 128},
               TransformerShape{8, 1024, 16, 8192, 4, 512});
  Transformer model(run, shape);
  std::vector<int> tokens, targets;
  for (int b = 0; b < shape.batch; ++b) {
    auto token = static_cast<int>(run.random()() % static_cast<uint64_t>(shape.vocabulary));
    for (int i = 0; i < shape.length; ++i) {
      tokens.push_back(token);
      token = (5 * token + 7 + static_cast<int>(run.random()() % 2)) % shape.vocabulary;
      targets.push_back(token);
    }
  }
  model.set_batch(tokens, targets);

  model.forward();
  model.backward();
  const double first = static_cast<double>(model.loss());
  const std::vector<float> losses = model.losses();
  const int rows = run.pick(shape.length, 16, 8);
  const std::vector<double> expected = model.reference([&](int i) { return model.initial(i); }, tokens, targets, rows);
  // Sums in floats, a dozen one after the other a layer.
  run.check("losses", worst_error({losses.begin(), losses.begin() + rows}, expected), 1e-4);
  // L(p + e g) - L(p - e g) = 2 e g · g, but for the curvature: e moves the loss by about a hundredth.
  const double square = model.gradient_square(), step = 0.005 / square;
  double change = 0;
  for (const double sign : {1.0, -1.0}) {
    model.shift(static_cast<float>(sign * step));
    model.forward();
    change += sign * static_cast<double>(model.loss());
  }
  model.restore();
  run.check("gradients, along themselves", std::abs(change / (2 * step) / square - 1), 0.02);

  if (run.size() == Size::ci) {
    const auto count = static_cast<size_t>(model.parameter_count());
    const std::vector<float> gradients = download_float(run, model.gradients(), 0, count);
    run.check("gradients", worst_derivative(run, model, shape, gradients, tokens, targets), 1e-4);
    model.update();
    const std::vector<float> updated = download_float(run, model.parameters(), 0, count);
    double worst = 0;
    for (size_t i = 0; i < count; ++i) {
      const double g = static_cast<double>(gradients[i]), p = model.initial(static_cast<int>(i));
      // Of one step: the first moment, freed of its bias, is g, the second g².
      const double moved = p - Transformer::kRate * (g / (std::abs(g) + 1e-8) + Transformer::kDecay * p);
      const double error = std::abs(static_cast<double>(updated[i]) - moved);
      if (!(error <= worst)) worst = error;
    }
    // Of steps of 1e-3; where a gradient is as small as the 1e-8 beside it, rounding it weighs.
    run.check("update", worst, 1e-6);
  }

  const int steps = run.pick(2, 10, 2);
  double last = first;
  const auto seconds = run.wall_seconds([&] {
    for (int i = 0; i < steps; ++i) {
      model.forward();
      model.backward();
      model.update();
      last = static_cast<double>(model.loss());
    }
  });
  run.sample({"ai_train", "steps/s", true, true}, rates(steps, seconds));
  run.check("the loss falls: the last, of the first", last / first, 0.99);
}

}  // namespace nm::workload::ai
