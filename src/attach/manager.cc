#include "attach/manager.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>

#include "attach/vfio_steps.h"
#include "inventory/pci.h"
#include "inventory/readiness.h"

namespace nm::attach {
namespace {

const inventory::Gpu* find(const inventory::Inventory& inventory, const PciAddress& address) {
  for (const inventory::Gpu& gpu : inventory.gpus) {
    if (gpu.function.address == address) return &gpu;
  }
  return nullptr;
}

std::vector<inventory::PciFunction> functions_of(const inventory::Gpu& gpu, const std::vector<PciAddress>& wanted) {
  std::vector<inventory::PciFunction> functions;
  for (const PciAddress& address : wanted) {
    if (gpu.function.address == address) functions.push_back(gpu.function);
    for (const inventory::PciFunction& companion : gpu.card) {
      if (companion.address == address) functions.push_back(companion);
    }
  }
  return functions;
}

std::vector<PciAddress> addresses_of(const std::vector<inventory::PciFunction>& functions) {
  std::vector<PciAddress> addresses;
  for (const inventory::PciFunction& function : functions) addresses.push_back(function.address);
  return addresses;
}

Backend* named_backend(const std::vector<Backend*>& backends, const std::string& name) {
  for (Backend* backend : backends) {
    if (backend->name() == name) return backend;
  }
  return nullptr;
}

std::vector<FunctionState> states_of(const inventory::Host& host, const std::vector<FunctionState>& functions) {
  std::vector<FunctionState> states;
  for (const FunctionState& function : functions) states.push_back(read_function_state(host, function.address));
  return states;
}

void append(Steps& steps, Steps more) {
  for (auto& step : more) steps.push_back(std::move(step));
}

}  // namespace

Result<PciAddress> Manager::address_of(const std::string& text) {
  const inventory::Host& host = context_.system.host();
  const inventory::Inventory inventory = inventory::take_inventory(host);
  const auto gpu = choose_gpu(host, inventory, text);
  if (!gpu) return gpu.error();
  return (*gpu)->function.address;
}

std::vector<std::string> Manager::locks_of(const PciAddress& gpu) const {
  const inventory::Inventory inventory = inventory::take_inventory(context_.system.host());
  const inventory::Gpu* found = find(inventory, gpu);
  // Of a function without a group, its own address: two commands are told the same about it, one after the other.
  std::vector<std::string> locks = {"gpu-" + gpu.text()};
  if (!found) return locks;
  if (found->function.iommu_group) locks.push_back(group_lock(*found->function.iommu_group));
  for (const inventory::PciFunction& companion : found->card) {
    if (companion.iommu_group) locks.push_back(group_lock(*companion.iommu_group));
  }
  return locks;
}

// The guest that has it now is worked on as well.
Result<std::vector<std::string>> Manager::locks_with_guest(const PciAddress& gpu, bool dry_run) {
  std::vector<std::string> locks = locks_of(gpu);
  auto store = dry_run ? Store::open_to_read(directory_) : Store::open(directory_);
  if (!store) return store.error();
  const auto attachment = store->attachment(gpu);
  if (!attachment) return attachment.error();
  if (*attachment && !(*attachment)->backend.empty()) {
    locks.push_back(guest_lock((*attachment)->backend, (*attachment)->guest_id));
  }
  return locks;
}

Result<Manager::Sight> Manager::look(Store& store, const PciAddress& gpu) {
  const auto operations = store.operations();
  if (!operations) return operations.error();
  for (const Operation& operation : *operations) {
    if (operation.gpu != gpu) continue;
    return Error{fmt::format("{} of {} was interrupted{}. Run `nearmetal recover` first.",
                             operation.verb == Verb::attach ? "An attach" : fmt::format("A {}", word(operation.verb)),
                             gpu.text(), operation.trouble.empty() ? "" : ": " + operation.trouble)};
  }
  Sight sight{.inventory = inventory::take_inventory(context_.system.host()), .gpu = nullptr};
  sight.gpu = find(sight.inventory, gpu);
  if (!sight.gpu) return Error{gpu.text() + " has just left the host."};
  auto attachment = store.attachment(gpu);
  if (!attachment) return attachment.error();
  sight.attachment = std::move(*attachment);
  if (!sight.attachment) return sight;
  if (sight.attachment->boot != boot_id(context_.system.host())) {
    if (!sight.attachment->persistent) sight.attachment.reset();
    return sight;
  }
  if (sight.attachment->backend.empty()) return sight;
  Backend* backend = named_backend(backends_, sight.attachment->backend);
  if (!backend) {
    return Error{fmt::format("{} is attached by \"{}\", which this release does not know.", gpu.text(),
                             sight.attachment->backend)};
  }
  const auto has = backend->has(sight.attachment->guest_id, sight.attachment->functions);
  if (!has) return has.error();
  if (!*has && !sight.attachment->persistent) {  // it ended, or let go of it later than anybody waited
    sight.attachment->backend.clear();
    sight.attachment->guest.clear();
    sight.attachment->guest_id.clear();
    sight.attachment->guest_steps = Json::array();
  }
  return sight;
}

Result<Manager::Prepared> Manager::prepare_attach(Store& store, const Request& request, const PciAddress& address,
                                                  const Guest& guest) {
  const inventory::Host& host = context_.system.host();
  auto seen = look(store, address);
  if (!seen) return seen.error();
  const auto quarantined = store.quarantined();
  if (!quarantined) return quarantined.error();
  for (const Quarantine& quarantine : *quarantined) {
    if (quarantine.gpu != address) continue;
    return Error{fmt::format("{} is in quarantine: {} `nearmetal release --force {}` ends that.", address.text(),
                             quarantine.reason, address.text())};
  }
  const std::optional<Attachment>& current = seen->attachment;
  if (!request.from.empty() && (!current || current->guest != request.from)) {
    return Error{fmt::format("{} is not attached to {}{}.", address.text(), request.from,
                             current && !current->guest.empty() ? fmt::format(", but to {}", current->guest)
                                                                : ": it is in no guest of ours")};
  }
  Backend* backend = named_backend(backends_, guest.backend);
  Prepared prepared{.operation = {.verb = Verb::attach, .gpu = address}};
  Attachment after{.gpu = address};
  std::vector<inventory::PciFunction> functions;
  if (!current) {
    auto from_host = plan_for_guests(host, seen->inventory, *seen->gpu, request.wish);
    if (!from_host) return from_host.error();
    prepared.plan = std::move(from_host->plan);
    functions = std::move(from_host->functions);
    after.functions = addresses_of(functions);
    after.before = std::move(from_host->before);
    after.host_steps = to_json(prepared.plan.steps);
  } else {
    if (current->backend == guest.backend && current->guest_id == guest.id) {
      return Error{fmt::format("{} is attached to {} already.", address.text(), guest.text())};
    }
    if (!current->backend.empty() && !request.move && request.from.empty()) {
      return Error{fmt::format("{} is in use by VM {}. Add --move to take it from there, or detach it first.",
                               address.text(), current->guest)};
    }
    after = *current;
    functions = functions_of(*seen->gpu, after.functions);
    for (const inventory::PciFunction& function : functions) {
      if (inventory::is_vfio_driver(function.driver)) continue;
      return Error{
          fmt::format("{} is to be kept for guests, and has the driver {}. Somebody else has bound it: run "
                      "`nearmetal recover`.",
                      function.address.text(), function.driver.empty() ? "none" : function.driver)};
    }
    if (!current->backend.empty()) {
      prepared.operation.verb = Verb::move;
      auto out = StepReader(backends_).steps(current->guest_steps);
      if (!out) return out.error();
      prepared.plan.steps = reversed(std::move(*out));
    } else if (seen->gpu->state == inventory::State::attached) {
      return Error{fmt::format("{} is in use by {}. Detach it there first.", address.text(), seen->gpu->attached_to)};
    }
  }
  auto into = backend->plan({.gpu = *seen->gpu, .functions = functions, .persistent = request.persistent}, guest);
  if (!into) return into.error();
  after.backend = guest.backend;
  after.guest = guest.name;
  after.guest_id = guest.id;
  after.persistent = request.persistent;
  after.guest_steps = to_json(into->steps);
  after.boot = boot_id(host);
  after.since = ::time(nullptr);
  append(prepared.plan.steps, std::move(into->steps));
  for (std::string& note : into->notes) prepared.plan.notes.push_back(std::move(note));
  prepared.operation.functions = states_of(host, after.before);
  prepared.operation.before = current;
  prepared.operation.after = std::move(after);
  prepared.sentence = fmt::format("{} is attached to {}.", address.text(), guest.text());
  return prepared;
}

Result<Manager::Prepared> Manager::prepare_detach(Store& store, const PciAddress& address) {
  auto seen = look(store, address);
  if (!seen) return seen.error();
  if (!seen->attachment) {
    if (seen->gpu->state == inventory::State::attached) {
      return Error{
          fmt::format("{} is in use by {}, and was not attached by nearmetal. Detach it with the tool that did.",
                      address.text(), seen->gpu->attached_to)};
    }
    return Error{fmt::format("{} is in no guest. `nearmetal status` shows what is attached.", address.text())};
  }
  Attachment after = *seen->attachment;
  Prepared prepared{.operation = {.verb = Verb::detach, .gpu = address}};
  auto out = StepReader(backends_).steps(after.guest_steps);
  if (!out) return out.error();
  prepared.plan.steps = reversed(std::move(*out));
  prepared.sentence =
      after.backend.empty()
          ? fmt::format("{} is in no guest any more, and kept for the next one.", address.text())
          : fmt::format("{} is out of VM {}, and kept for the next guest.", address.text(), after.guest);
  prepared.operation.functions = states_of(context_.system.host(), after.before);
  prepared.operation.before = after;
  after.backend.clear(), after.guest.clear(), after.guest_id.clear();
  after.guest_steps = Json::array();
  after.persistent = false;
  after.boot = boot_id(context_.system.host());
  after.since = ::time(nullptr);
  prepared.operation.after = std::move(after);
  return prepared;
}

Result<Manager::Prepared> Manager::prepare_release(Store& store, const PciAddress& address, bool force) {
  auto seen = look(store, address);
  if (!seen) return seen.error();
  const auto quarantined = store.quarantined();
  if (!quarantined) return quarantined.error();
  const bool is_quarantined = std::any_of(quarantined->begin(), quarantined->end(),
                                          [&](const Quarantine& quarantine) { return quarantine.gpu == address; });
  if (is_quarantined && !force) {
    return Error{
        fmt::format("{} is in quarantine. `nearmetal release --force {}` gives it back to the host all the same.",
                    address.text(), address.text())};
  }
  Prepared prepared{.operation = {.verb = Verb::release, .gpu = address}};
  if (!seen->attachment) {
    if (!is_quarantined) {
      return Error{fmt::format("{} is not kept for guests by nearmetal; its driver is {}.", address.text(),
                               seen->gpu->function.driver.empty() ? "none" : seen->gpu->function.driver)};
    }
    prepared.sentence = fmt::format("{} is out of quarantine.", address.text());
    return prepared;
  }
  const Attachment& current = *seen->attachment;
  if (!current.backend.empty()) {
    return Error{
        fmt::format("{} is in use by VM {}. `nearmetal detach --release {}` takes it from there and gives it back.",
                    address.text(), current.guest, address.text())};
  }
  auto plan = plan_release(context_.system.host(), current, StepReader(backends_), force);
  if (!plan) return plan.error();
  prepared.plan = std::move(*plan);
  prepared.operation.functions = states_of(context_.system.host(), current.before);
  prepared.operation.before = current;
  std::string driver = "without a driver, as it was";
  if (!current.before.empty() && !current.before[0].driver.empty())
    driver = "the host's again, with " + current.before[0].driver;
  prepared.sentence = fmt::format("{} is {}.", address.text(), driver);
  return prepared;
}

Result<Report> Manager::act(const PciAddress& gpu, std::vector<std::string> locks, std::string_view verb, bool dry_run,
                            const Prepare& prepare) {
  auto store = dry_run ? Store::open_to_read(directory_) : Store::open(directory_);
  if (!store) return store.error();
  Locks held;
  if (!dry_run) {
    auto taken = Locks::take(directory_, locks, fmt::format("{} of {}", verb, gpu.text()), context_.guest, hooks_.say,
                             [this] { return context_.stopped(); });
    if (!taken) return taken.error();
    held = std::move(*taken);
  }
  auto prepared = prepare(*store);
  if (!prepared) return prepared.error();
  Report report{.gpu = gpu,
                .sentence = prepared->sentence,
                .notes = prepared->plan.notes,
                .script = script(prepared->plan),
                .now = prepared->operation.after};
  if (dry_run) return report;
  prepared->operation.locks = std::move(locks);
  auto applied = Executor(context_, *store, hooks_.watcher).apply(std::move(prepared->operation), prepared->plan);
  if (!applied) {
    std::string sentence = applied.error().message;
    quarantine_if_lost(*store, gpu, sentence);
    return Error{sentence};
  }
  return report;
}

void Manager::quarantine_if_lost(Store& store, const PciAddress& gpu, std::string& sentence) {
  const inventory::Host& host = context_.system.host();
  if (!host.exists(inventory::device_directory(gpu)) || answers(host, gpu)) return;
  if (auto kept = store.quarantine(gpu, "it did not answer on the bus after its last user."); !kept) {
    sentence += " " + kept.error().message;
    return;
  }
  sentence += " It is in quarantine now: no guest gets it before `nearmetal release --force`.";
}

namespace {
Result<void> need_root(const inventory::Host& host, bool dry_run) {
  if (dry_run || host.self().root) return {};
  return Error{"Taking a GPU from the host and giving it back needs root: run the same with sudo. --dry-run does not."};
}
}  // namespace

Result<Report> Manager::attach(const Request& request) {
  if (auto root = need_root(context_.system.host(), request.dry_run); !root) return root.error();
  const auto gpu = address_of(request.gpu);
  if (!gpu) return gpu.error();
  const auto guest = find_guest(backends_, request.guest);
  if (!guest) return guest.error();
  auto locks = locks_with_guest(*gpu, request.dry_run);
  if (!locks) return locks.error();
  locks->push_back(guest_lock(guest->backend, guest->id));
  return act(*gpu, std::move(*locks), "attach", request.dry_run,
             [&](Store& store) { return prepare_attach(store, request, *gpu, *guest); });
}

Result<Report> Manager::detach(const Request& request) {
  if (auto root = need_root(context_.system.host(), request.dry_run); !root) return root.error();
  const auto gpu = address_of(request.gpu);
  if (!gpu) return gpu.error();
  auto locks = locks_with_guest(*gpu, request.dry_run);
  if (!locks) return locks.error();
  auto report = act(*gpu, std::move(*locks), "detach", request.dry_run,
                    [&](Store& store) { return prepare_detach(store, *gpu); });
  if (!report || !request.release || request.dry_run) return report;
  auto released = release(request);
  if (!released) return Error{report->sentence + " But: " + released.error().message};
  released->script.insert(released->script.begin(), report->script.begin(), report->script.end());
  return released;
}

Result<Report> Manager::release(const Request& request) {
  if (auto root = need_root(context_.system.host(), request.dry_run); !root) return root.error();
  const auto gpu = address_of(request.gpu);
  if (!gpu) return gpu.error();
  auto report = act(*gpu, locks_of(*gpu), "release", request.dry_run,
                    [&](Store& store) { return prepare_release(store, *gpu, request.force); });
  if (!report || request.dry_run || !request.force) return report;
  auto store = Store::open(directory_);
  if (!store) return store.error();
  if (auto lifted = store->lift_quarantine(*gpu); !lifted) return lifted.error();
  return report;
}

}  // namespace nm::attach
