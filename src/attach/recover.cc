// After a crash, a power cut or a guest's end: what the journal and the attachments say is made true again, or taken
// back. An interrupted attach or move is undone, an interrupted detach or release is finished; where that cannot be,
// the other one, for what counts is that it is one of the two.
#include <fmt/format.h>

#include "attach/manager.h"
#include "attach/vfio_steps.h"
#include "inventory/pci.h"

namespace nm::attach {
namespace {

std::string interrupted(const Operation& operation) {
  return fmt::format("{}: its interrupted {}", operation.gpu.text(), word(operation.verb));
}

}  // namespace

Result<std::vector<Recovery>> Manager::recover() {
  if (!context_.system.host().self().root) return Error{"Recovering needs root: run the same with sudo."};
  auto store = Store::open(directory_);
  if (!store) return store.error();
  const auto operations = store->operations();
  if (!operations) return operations.error();
  std::vector<Recovery> all;
  for (const Operation& listed : *operations) {
    auto locks = Locks::take(directory_, listed.locks, "recover of " + listed.gpu.text(), Millis(0));
    if (!locks) {
      all.push_back({.gpu = listed.gpu, .sentence = listed.gpu.text() + ": " + locks.error().message});
      continue;
    }
    // Under the lock: its process may have ended it, well or not, since it was listed.
    const auto again = store->operations();
    if (!again) return again.error();
    for (Operation operation : *again) {
      if (operation.id == listed.id) all.push_back(recover_operation(*store, operation));
    }
  }
  const auto attachments = store->attachments();
  if (!attachments) return attachments.error();
  for (const Attachment& attachment : *attachments) {
    if (auto recovery = recover_attachment(*store, attachment)) all.push_back(std::move(*recovery));
  }
  return all;
}

Recovery Manager::recover_operation(Store& store, Operation& operation) {
  Recovery recovery{.gpu = operation.gpu};
  const inventory::Host& host = context_.system.host();
  const bool rebooted = operation.boot != boot_id(host);
  for (const StuckWriter& writer : operation.stuck) {
    if (rebooted || writer.started == 0 || start_of_process(host, writer.pid) != writer.started) continue;
    recovery.sentence = fmt::format(
        "{} waits for the kernel, which still keeps process {} at {}. End whoever uses the device, or restart the "
        "host.",
        interrupted(operation), writer.pid, writer.path);
    return recovery;
  }
  operation.stuck.clear();
  auto steps = StepReader(backends_).steps(operation.steps);
  if (!steps) {
    recovery.sentence = fmt::format("{} stays: {}", interrupted(operation), steps.error().message);
    return recovery;
  }
  Executor executor(context_, store, hooks_.watcher);
  const bool onward = goes_onward(operation);
  Result<void> first = onward ? executor.finish(operation, *steps) : executor.roll_back(operation, *steps);
  recovery.good = static_cast<bool>(first);
  if (first) {
    recovery.sentence = fmt::format("{} has been {}.", interrupted(operation), onward ? "finished" : "undone");
    return recovery;
  }
  Result<void> second = onward ? executor.roll_back(operation, *steps) : executor.finish(operation, *steps);
  recovery.good = static_cast<bool>(second);
  recovery.sentence =
      second ? fmt::format("{} has been {}, because it could not be {}: {}", interrupted(operation),
                           onward ? "undone" : "finished", onward ? "finished" : "undone", first.error().message)
             : fmt::format("{} could be neither finished nor undone. {} {}", interrupted(operation),
                           first.error().message, second.error().message);
  if (!answers(host, operation.gpu)) quarantine_if_lost(store, operation.gpu, recovery.sentence);
  return recovery;
}

// An attachment that nobody interrupted, and that is not there any more all the same.
std::optional<Recovery> Manager::recover_attachment(Store& store, const Attachment& listed) {
  std::vector<std::string> names = locks_of(listed.gpu);
  if (!listed.backend.empty()) names.push_back(guest_lock(listed.backend, listed.guest_id));
  const auto locks = Locks::take(directory_, names, "recover of " + listed.gpu.text(), Millis(0));
  if (!locks) return std::nullopt;  // somebody is at it, and will leave it in order
  auto current = store.attachment(listed.gpu);
  if (!current || !*current) return std::nullopt;
  Recovery recovery{.gpu = listed.gpu, .good = true};
  const inventory::Host& host = context_.system.host();
  const auto written = [&](Result<void> result) {
    if (result) return;
    recovery.good = false;
    recovery.sentence += " " + result.error().message;
  };
  if ((*current)->boot != boot_id(host) && !(*current)->persistent) {
    recovery.sentence = listed.gpu.text() + " is the host's again since the host was restarted.";
    written(store.erase(listed.gpu));
    return recovery;
  }
  if (!host.exists(inventory::device_directory(listed.gpu))) {
    recovery.sentence = listed.gpu.text() + " is no longer in this host; its attachment is forgotten.";
    written(store.erase(listed.gpu));
    return recovery;
  }
  if ((*current)->boot != boot_id(host)) {
    // Its guest's definition still names it, so it must be with VFIO before that guest starts.
    Operation again{.verb = Verb::attach, .gpu = listed.gpu, .locks = names, .before = *current, .after = *current};
    again.after->boot = boot_id(host);
    for (const FunctionState& function : (*current)->before) {
      again.functions.push_back(read_function_state(host, function.address));
    }
    Plan plan;
    auto steps = StepReader(backends_).steps((*current)->host_steps);
    if (steps) plan.steps = std::move(*steps);
    const Result<void> applied =
        steps ? Executor(context_, store, hooks_.watcher).apply(std::move(again), plan) : Result<void>(steps.error());
    recovery.good = static_cast<bool>(applied);
    recovery.sentence = applied ? fmt::format("{} is kept for VM {} again since the host was restarted.",
                                              listed.gpu.text(), (*current)->guest)
                                : applied.error().message;
    return recovery;
  }
  auto seen = look(store, listed.gpu);
  if (!seen) {
    recovery.good = false;
    recovery.sentence = seen.error().message;
    return recovery;
  }
  if (seen->attachment && seen->attachment->backend.empty() && !(*current)->backend.empty()) {
    recovery.sentence = fmt::format(
        "{} was in VM {}, which has ended or let go of it; it is kept for the next guest. "
        "`nearmetal release {}` gives it back to the host.",
        listed.gpu.text(), (*current)->guest, listed.gpu.text());
    written(store.put(*seen->attachment));
    return recovery;
  }
  return std::nullopt;
}

}  // namespace nm::attach
