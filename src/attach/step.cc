#include "attach/step.h"

#include <algorithm>

namespace nm::attach {
namespace {

class Reversed : public Step {
 public:
  explicit Reversed(std::unique_ptr<Step> inner) : inner_(std::move(inner)) {}

  std::string_view kind() const override { return "undo"; }
  Json record() const override { return to_json(*inner_); }
  std::string title() const override { return inner_->undo_title(); }
  std::string undo_title() const override { return inner_->title(); }
  std::vector<std::string> commands() const override { return inner_->undo_commands(); }
  std::vector<std::string> undo_commands() const override { return inner_->commands(); }
  bool survives_boot() const override { return inner_->survives_boot(); }
  Result<void> perform(Context& context) override { return inner_->undo(context); }
  Result<void> verify(Context& context) override { return inner_->verify_undone(context); }
  Result<void> verify_undone(Context& context) override { return inner_->verify(context); }
  Result<void> undo(Context& context) override { return inner_->perform(context); }

 private:
  std::unique_ptr<Step> inner_;
};

}  // namespace

std::unique_ptr<Step> reversed(std::unique_ptr<Step> step) { return std::make_unique<Reversed>(std::move(step)); }

Steps reversed(Steps steps) {
  std::reverse(steps.begin(), steps.end());
  for (auto& step : steps) step = reversed(std::move(step));
  return steps;
}

Json to_json(const Step& step) {
  if (step.kind() == "undo") return {{"undo", step.record()}};
  return {{"kind", step.kind()}, {"record", step.record()}};
}

Json to_json(const Steps& steps) {
  Json list = Json::array();
  for (const auto& step : steps) list.push_back(to_json(*step));
  return list;
}

std::string shell_word(const std::string& word) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=@%+,";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string quoted = "'";
  for (const char c : word) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string echo_command(const std::string& text, const std::string& path) {
  return "echo " + (text.empty() ? "" : shell_word(text) + " ") + "> " + shell_word(path);
}

}  // namespace nm::attach
