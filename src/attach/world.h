// For tests: a machine with a kernel of ours, a hypervisor of ours, and a place for the state; all in one directory, so
// that a process can be killed in the middle and another one go on.
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "attach/fake_kernel.h"
#include "attach/manager.h"
#include "inventory/scratch.h"

namespace nm::attach {

// Guests are directories, and the functions that they have are files in them.
class FakeBackend : public Backend {
 public:
  explicit FakeBackend(FakeKernel& kernel, std::string root) : kernel_(kernel), root_(std::move(root)) {}

  std::string_view name() const override { return "fake"; }
  Result<std::vector<Guest>> guests() override {
    std::vector<Guest> guests;
    for (const std::string& name : kernel_.host().list("/.fake/guests").names) {
      guests.push_back({.backend = "fake", .name = name, .id = name, .pid = 99});
    }
    return guests;
  }
  Result<Plan> plan(const Handover& handover, const Guest& guest) override;
  Result<std::unique_ptr<Step>> step(std::string_view kind, const Json& record) override;
  Result<bool> has(const std::string& id, const std::vector<PciAddress>& functions) override {
    return kernel_.host().exists("/.fake/guests/" + id + "/" + functions.at(0).text());
  }
  std::string directory(const std::string& guest) const { return root_ + "/.fake/guests/" + guest; }
  FakeKernel& kernel() { return kernel_; }

 private:
  FakeKernel& kernel_;
  std::string root_;
};

class FakeAdd : public Step {
 public:
  FakeAdd(FakeBackend& backend, std::string guest, std::string function)
      : backend_(backend), guest_(std::move(guest)), function_(std::move(function)) {}
  std::string_view kind() const override { return "fake-add"; }
  Json record() const override { return {{"guest", guest_}, {"function", function_}}; }
  std::string title() const override { return "Put " + function_ + " into VM " + guest_; }
  std::string undo_title() const override { return "Take " + function_ + " out of VM " + guest_; }
  std::vector<std::string> commands() const override { return {"add " + function_}; }
  std::vector<std::string> undo_commands() const override { return {"remove " + function_}; }
  Result<void> perform(Context&) override {
    if (std::filesystem::exists(backend_.directory(guest_) + "/full")) return Error{"VM " + guest_ + " is full."};
    change("add", [&] { std::ofstream(file()) << "x"; });
    return {};
  }
  Result<void> verify(Context&) override { return {}; }
  Result<void> undo(Context&) override {
    if (std::filesystem::exists(backend_.directory(guest_) + "/deaf") && std::filesystem::exists(file())) {
      return Error{"VM " + guest_ + " has not let go of " + function_ + "."};
    }
    change("remove", [&] { std::filesystem::remove(file()); });
    return {};
  }
  Result<void> verify_undone(Context&) override { return {}; }

 private:
  std::string file() const { return backend_.directory(guest_) + "/" + function_; }
  void change(const std::string& what, const std::function<void()>& act) {
    const auto& at_change = backend_.kernel().at_change;
    if (at_change) at_change("before " + what);
    if (std::filesystem::exists(backend_.directory(guest_))) act();
    if (at_change) at_change("after " + what);
  }
  FakeBackend& backend_;
  std::string guest_, function_;
};

inline Result<Plan> FakeBackend::plan(const Handover& handover, const Guest& guest) {
  Plan plan;
  for (const auto& function : handover.functions) {
    plan.steps.push_back(std::make_unique<FakeAdd>(*this, guest.id, function.address.text()));
  }
  return plan;
}

inline Result<std::unique_ptr<Step>> FakeBackend::step(std::string_view kind, const Json& record) {
  if (kind != "fake-add") return std::unique_ptr<Step>();
  return std::unique_ptr<Step>(std::make_unique<FakeAdd>(*this, record.at("guest").get<std::string>(),
                                                         record.at("function").get<std::string>()));
}

// What a test does things with; a second one over the same directory is another process's.
struct Hands {
  explicit Hands(const std::string& root, Millis guest = Millis(50))
      : kernel(root),
        backend(kernel, root),
        state(root + "/state"),
        manager(Context{.system = kernel, .kernel = Millis(50), .guest = guest}, state, {&backend},
                {.watcher = [this](const Moment& moment) {
                  if (at_moment) at_moment(moment);
                }}) {}

  // The host, the guests and the store, as text.
  std::string all() {
    std::string text = kernel.state();
    for (const std::string& guest : kernel.host().list("/.fake/guests").names) {
      for (const std::string& file : kernel.host().list("/.fake/guests/" + guest).names) {
        text += guest + " has " + file + "\n";
      }
    }
    auto store = Store::open_to_read(state);
    if (!store) return store.error().message;
    const auto attachments = store->attachments();
    for (const Attachment& attachment : *attachments) {
      text += "kept " + attachment.gpu.text() + " in \"" + attachment.guest + "\"\n";
    }
    const auto operations = store->operations();
    for (const Operation& operation : *operations) text += fmt::format("journal: {}\n", word(operation.verb));
    return text;
  }

  FakeKernel kernel;
  FakeBackend backend;
  std::string state;
  std::function<void(const Moment&)> at_moment;
  Manager manager;
};

struct World {
  explicit World(const std::string& shape, const std::vector<std::string>& guests = {"train1", "train2"})
      : machine(shape) {
    hands = std::make_unique<Hands>(machine.scratch.path());
    for (const std::string& guest : guests) machine.tree.directory("/.fake/guests/" + guest);
  }
  const std::string& root() const { return machine.scratch.path(); }

  inventory::FakeMachine machine;
  std::unique_ptr<Hands> hands;
};

inline constexpr Wish kEverything = {.companions = true, .stop_holders = true, .take_display = true};

}  // namespace nm::attach
