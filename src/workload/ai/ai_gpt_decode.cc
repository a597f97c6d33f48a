// AiGptDecode: a language model answers, token by token, every operation a kernel of its own and every token read back
// before the next, as eager frameworks do: some hundred launches of a few microseconds a token. Bound by memory in each
// kernel and, on a fast device, by the way to it: the stress of a remoted API, and so timed by the host's clock.
// ai_decode_graph is the same with a token's launches captured in a CUDA graph once.
#include <algorithm>

#include "device/cuda_graph.h"
#include "workload/ai/gpt.h"
#include "workload/ai/programs.h"

namespace nm::workload::ai {

void gpt_decode(Run& run) {
  const GptShape shape = gpt_shape(run);
  Gpt gpt(run, shape);
  const int prompt = run.pick(6, 128, 512), answer = run.pick(10, 64, 64);
  std::vector<int> tokens;
  for (int i = 0; i < prompt; ++i)
    tokens.push_back(static_cast<int>(run.random()() % static_cast<uint64_t>(shape.vocabulary)));

  // The prompt, token by token too; what is compared with the reference is kept. The reference has every position at
  // size ci; elsewhere two, and the last is compared with what the other kernels, prefill's, make of the same tokens.
  const bool all = run.size() == Size::ci;
  std::vector<std::vector<float>> logits;
  gpt.set_position(0);
  const auto keep = [&](int position) {
    if (all || position < 2) logits.push_back(gpt.logits());
  };
  int launches = 0;
  for (int p = 0; p < prompt; ++p) {
    gpt.set_token(tokens[static_cast<size_t>(p)]);
    launches = gpt.step();
    keep(p);
  }
  std::vector<int> expected{gpt.get_token()};
  for (int i = 1; i < answer; ++i) {
    tokens.push_back(expected.back());
    gpt.step();
    keep(prompt + i - 1);
    expected.push_back(gpt.get_token());
  }
  const std::vector<float> last = gpt.logits();

  const std::vector<int> checked(tokens.begin(), tokens.begin() + static_cast<long>(logits.size()));
  const std::vector<std::vector<double>> reference = gpt.reference(checked);
  double error = 0, regret = 0;
  bool likeliest = true;
  for (size_t p = 0; p < logits.size(); ++p) {
    error = std::max(error, norm_error(logits[p], reference[p]));
    // The token chosen is the likeliest, or as likely as makes no difference.
    const size_t chosen = static_cast<size_t>(std::max_element(logits[p].begin(), logits[p].end()) - logits[p].begin());
    regret = std::max(regret, *std::max_element(reference[p].begin(), reference[p].end()) - reference[p][chosen]);
    if (all && static_cast<int>(p) >= prompt - 1)
      likeliest = likeliest && static_cast<int>(chosen) == expected[p - static_cast<size_t>(prompt) + 1];
  }
  // Sums are in floats, keys and values rounded to bf16 (2⁻⁹ on average) before they are averaged.
  run.check("logits", error, 0.01);
  if (all) run.check("every token is that of the largest logit", likeliest);
  run.check("likelihood given away by the choice", regret, 0.05);

  const auto answer_from = [&](const std::function<void()>& step) {
    std::vector<int> got{expected[0]};
    gpt.set_token(expected[0]);
    gpt.set_position(prompt);
    for (int i = 1; i < answer; ++i) {
      step();
      got.push_back(gpt.get_token());
    }
    return got;
  };
  std::vector<int> got;
  const auto measure = [&](const std::string& metric, const std::function<void()>& step) {
    const auto seconds = run.wall_seconds([&] { got = answer_from(step); });
    Figure figure{metric, "tokens/s", true, true};
    figure.series = metric, figure.x = launches, figure.x_unit = "launches/token";
    run.sample(figure, rates(answer - 1, seconds));
    run.check(metric + ": the same tokens", got == expected);
  };
  measure("ai_decode", [&] { gpt.step(); });
  if (run.cuda()) {
    device::CudaGraph graph(run.device(), [&] { gpt.step(); });
    measure("ai_decode_graph", [&] { graph.launch(); });
  } else {
    run.skip("ai_decode_graph", "OpenCL has no graphs.");
  }

  gpt.prefill(0);
  gpt.set_prompt(tokens);
  gpt.prefill(static_cast<int>(tokens.size()));
  const std::vector<float> other = gpt.logits();
  // Prefill rounds every activation to bf16, a layer after the other.
  run.check("logits of the last token, against prefill", norm_error(last, {other.begin(), other.end()}), 0.03);
}

}  // namespace nm::workload::ai
