#include "attach/plan.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "attach/backend.h"
#include "attach/store.h"
#include "attach/vfio_steps.h"
#include "inventory/reader.h"

namespace nm::attach {
namespace {

std::string differences(const inventory::Host& host, const std::vector<FunctionState>& before) {
  std::string text;
  for (const FunctionState& was : before) {
    const FunctionState is = read_function_state(host, was.address);
    if (is == was) continue;
    const auto name = [](const std::string& driver) { return driver.empty() ? std::string("none") : driver; };
    if (is.driver != was.driver) {
      text += fmt::format(" {} had the driver {} and has {}.", was.address.text(), name(was.driver), name(is.driver));
    } else if (is.override != was.override) {
      text += fmt::format(" {} had the driver_override {} and has {}.", was.address.text(), name(was.override),
                          name(is.override));
    } else {
      text += fmt::format(" {} has another number of virtual functions.", was.address.text());
    }
  }
  return text;
}

}  // namespace

std::vector<std::string> script(const Plan& plan) {
  std::vector<std::string> lines;
  for (const auto& step : plan.steps) {
    lines.push_back("# " + inventory::clean(step->title(), 1000));
    for (std::string& command : step->commands()) lines.push_back(std::move(command));
  }
  return lines;
}

Result<std::unique_ptr<Step>> StepReader::step(const Json& json) const {
  try {
    if (json.contains("undo")) {
      auto inner = step(json.at("undo"));
      if (!inner) return inner;
      return reversed(std::move(*inner));
    }
    const std::string kind = json.at("kind").get<std::string>();
    const Json& record = json.at("record");
    if (auto made = read_host_step(kind, record)) return made;
    for (Backend* backend : backends_) {
      auto made = backend->step(kind, record);
      if (!made || *made) return made;
    }
    return Error{
        fmt::format("There is a step \"{}\" in the journal that this release does not know. Use the release "
                    "that wrote it.",
                    kind)};
  } catch (const std::exception& error) {
    return Error{fmt::format("A step in the journal cannot be read: {}. Give the GPU back by hand.", error.what())};
  }
}

Result<Steps> StepReader::steps(const Json& json) const {
  Steps steps;
  for (const Json& item : json) {
    auto made = step(item);
    if (!made) return made.error();
    steps.push_back(std::move(*made));
  }
  return steps;
}

bool goes_onward(const Operation& operation) {
  if (operation.verb == Verb::detach || operation.verb == Verb::release) return true;
  return std::all_of(operation.phases.begin(), operation.phases.end(),
                     [](Phase phase) { return phase == Phase::done; });
}

void Executor::tell(Moment::What what, size_t step, const Steps& steps) const {
  if (!watcher_) return;
  const bool back = what == Moment::What::undoing || what == Moment::What::undone;
  std::string title;
  if (step < steps.size()) title = back ? steps[step]->undo_title() : steps[step]->title();
  watcher_({.what = what, .step = step, .steps = steps.size(), .title = std::move(title)});
}

Result<void> Executor::set_phase(Operation& operation, size_t step, Phase phase) {
  if (auto written = store_.set_phase(operation, step, phase); !written) return written;
  operation.phases[step] = phase;
  return {};
}

Result<void> Executor::forward(Operation& operation, const Steps& steps) {
  const bool rebooted = operation.boot != boot_id(context_.system.host());
  for (size_t i = 0; i < steps.size(); ++i) {
    if (operation.phases[i] == Phase::done || (rebooted && !steps[i]->survives_boot())) continue;
    if (context_.stopped()) return Error{"You interrupted it."};
    if (auto written = set_phase(operation, i, Phase::doing); !written) return written;
    tell(Moment::What::starting, i, steps);
    if (auto performed = steps[i]->perform(context_); !performed) return performed;
    tell(Moment::What::performed, i, steps);
    if (auto verified = steps[i]->verify(context_); !verified) return verified;
    if (auto written = set_phase(operation, i, Phase::done); !written) return written;
    tell(Moment::What::verified, i, steps);
  }
  return {};
}

// A phase that cannot be written keeps nobody from going back if what stands there says "go back" already. Where it
// says "go on", nothing may be undone in silence: whoever recovers would take for done what is not.
Result<void> Executor::backward(Operation& operation, const Steps& steps) {
  const bool rebooted = operation.boot != boot_id(context_.system.host());
  const bool heeded = std::exchange(context_.heed, false);
  Result<void> result;
  for (size_t i = steps.size(); i-- > 0;) {
    if (operation.phases[i] == Phase::waiting || operation.phases[i] == Phase::undone) continue;
    if (rebooted && !steps[i]->survives_boot()) continue;
    if (auto written = set_phase(operation, i, Phase::undoing); !written && goes_onward(operation)) {
      result = written;
      break;
    }
    tell(Moment::What::undoing, i, steps);
    result = steps[i]->undo(context_);
    if (result) result = steps[i]->verify_undone(context_);
    if (!result) break;
    (void)set_phase(operation, i, Phase::undone);
    tell(Moment::What::undone, i, steps);
  }
  context_.heed = heeded;
  if (!result || rebooted) return result;
  const std::string different = differences(context_.system.host(), operation.functions);
  if (!different.empty()) return Error{"The host is not as it was before:" + different};
  return {};
}

Result<void> Executor::apply(Operation operation, const Plan& plan) {
  operation.steps = to_json(plan.steps);
  operation.pid = ::getpid();
  operation.pid_started = start_of_process(context_.system.host(), operation.pid);
  operation.boot = boot_id(context_.system.host());
  if (auto begun = store_.begin(operation); !begun) return begun;
  tell(Moment::What::journaled, 0, plan.steps);
  Result<void> result = forward(operation, plan.steps);
  if (result) result = store_.conclude(operation, operation.after);
  if (result) {
    tell(Moment::What::finished, plan.steps.size(), plan.steps);
    return {};
  }
  const std::string why = result.error().message;
  auto back = roll_back(operation, plan.steps);
  return Error{back ? why + " All is as it was before." : why + " " + back.error().message};
}

Result<void> Executor::finish(Operation& operation, const Steps& steps) {
  Result<void> result = forward(operation, steps);
  if (result) result = store_.conclude(operation, operation.after);
  if (result) tell(Moment::What::finished, steps.size(), steps);
  return result;
}

Result<void> Executor::roll_back(Operation& operation, const Steps& steps) {
  operation.stuck = context_.system.stuck();
  Result<void> back;
  if (!operation.stuck.empty()) {
    // Whatever is done to the device now would wait behind that write, or be undone by it later.
    back = Error{fmt::format("The kernel still keeps process {} at {}; nothing can be undone before it lets go.",
                             operation.stuck[0].pid, operation.stuck[0].path)};
  } else {
    back = backward(operation, steps);
    if (back) back = store_.conclude(operation, operation.before);
  }
  if (back) return {};
  operation.trouble = back.error().message;
  (void)store_.note(operation);
  return Error{
      fmt::format("It could not be undone now: {} The journal has it: run `nearmetal recover` when that is "
                  "cured.",
                  operation.trouble)};
}

}  // namespace nm::attach
