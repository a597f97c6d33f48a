// AiGptPrefill: a language model reads a prompt: all its tokens at once through every layer, matrix products on the
// tensor cores and attention without its matrix. Bound by arithmetic.
#include <algorithm>

#include "workload/ai/gpt.h"
#include "workload/ai/programs.h"

namespace nm::workload::ai {

void gpt_prefill(Run& run) {
  const GptShape shape = gpt_shape(run);
  Gpt gpt(run, shape);
  const int count = run.pick(40, 1024, 4096);
  std::vector<int> tokens;
  for (int i = 0; i < count; ++i)
    tokens.push_back(static_cast<int>(run.random()() % static_cast<uint64_t>(shape.vocabulary)));
  gpt.prefill(0);
  gpt.set_prompt(tokens);
  run.sample({"ai_prefill", "tokens/s"}, rates(count, run.device_seconds([&] { gpt.prefill(count); })));

  // Against the reference: every row at size ci, two elsewhere. Activations are rounded to bf16 (2⁻⁹ on average) a
  // dozen times a layer, which adds up as a random walk does.
  const size_t rows = run.size() == Size::ci ? tokens.size() : 2;
  const auto reference = gpt.reference({tokens.begin(), tokens.begin() + static_cast<long>(rows)});
  double error = 0;
  for (size_t row = 0; row < rows; ++row) {
    gpt.finish_row(static_cast<int>(row));
    error = std::max(error, norm_error(gpt.logits(), reference[row]));
  }
  run.check("logits", error, 0.03);
  // Against a step from the cache that the prefill left: other kernels, and by induction every row before is checked.
  error = 0;
  for (const int row : {2, count / 3, count / 2 + 1, count - 1}) {
    gpt.finish_row(row);
    const std::vector<float> logits = gpt.logits();
    gpt.set_position(row);
    gpt.set_token(tokens[static_cast<size_t>(row)]);
    gpt.step();
    const std::vector<float> step = gpt.logits();
    error = std::max(error, norm_error(logits, {step.begin(), step.end()}));
  }
  run.check("logits, against decode", error, 0.03);
}

}  // namespace nm::workload::ai
