#include "attach/launch.h"

#include <fmt/format.h>

#include <algorithm>

#include "attach/monitor.h"
#include "attach/qmp.h"
#include "attach/qmp_device.h"
#include "inventory/reader.h"

namespace nm::attach {
namespace {

constexpr std::string_view kKind = "launched-device";
constexpr Millis kAnswer{10'000};

struct Device {
  PciAddress address;
  std::string id;  // in QEMU
};

// All functions of one card, which QEMU takes out together.
class LaunchedStep : public Step {
 public:
  LaunchedStep(const LaunchBackend::Runs& runs, std::string socket, std::string guest, std::vector<Device> devices)
      : runs_(runs), socket_(std::move(socket)), guest_(std::move(guest)), devices_(std::move(devices)) {}

  std::string_view kind() const override { return kKind; }
  Json record() const override {
    Json devices = Json::array();
    for (const Device& device : devices_) devices.push_back({{"address", device.address.text()}, {"id", device.id}});
    return {{"socket", socket_}, {"guest", guest_}, {"devices", std::move(devices)}};
  }
  std::string title() const override { return fmt::format("Start VM {} with {}", guest_, addresses()); }
  std::string undo_title() const override { return fmt::format("Take {} out of VM {}", addresses(), guest_); }
  std::vector<std::string> commands() const override {
    std::vector<std::string> lines;
    for (const Device& device : devices_) {
      lines.push_back(fmt::format("# QEMU is started with -device vfio-pci,host={}", device.address.text()));
    }
    return lines;
  }
  std::vector<std::string> undo_commands() const override {
    return {fmt::format("# to {}: {{\"execute\": \"device_del\", \"arguments\": {{\"id\": \"{}\"}}}}", socket_,
                        devices_[0].id)};
  }

  // QEMU comes later, or not at all: then whoever wanted to start it releases the GPU.
  Result<void> perform(Context&) override { return {}; }
  Result<void> verify(Context&) override { return {}; }

  Result<void> undo(Context& context) override {
    const TimePoint deadline = Clock::now() + context.guest;
    bool asked = false;
    for (;;) {
      const auto there = any_left();
      if (!there) return there.error();
      if (!*there) return {};
      if (!asked) {
        if (const auto done = ask_for_device(socket_, devices_[0].id, kAnswer); !done) return done.error();
        asked = true;
        continue;
      }
      if (context.stopped()) {
        return Error{
            fmt::format("Stopped while VM {} had not yet let go of {}; it may still do so.", guest_, addresses())};
      }
      if (Clock::now() >= deadline) break;
      context.system.pause();
    }
    return Error{
        fmt::format("VM {} has not let go of {} within {} s. Nothing was changed on the host. End what uses the GPU in "
                    "the guest, or "
                    "shut the guest down.",
                    guest_, addresses(), context.guest.count() / 1000)};
  }

  Result<void> verify_undone(Context&) override {
    const auto there = any_left();
    if (!there) return there.error();
    return *there ? Result<void>(Error{fmt::format("VM {} still has {}.", guest_, addresses())}) : Result<void>();
  }

 private:
  std::string addresses() const {
    std::string all;
    for (const Device& device : devices_) all += (all.empty() ? "" : ", ") + device.address.text();
    return all;
  }

  // No guest, or one that has not come as far as its monitor: nothing.
  Result<bool> any_left() const {
    if (!runs_(socket_) || !monitor_there(socket_)) return false;
    auto qmp = Qmp::connect(socket_, kAnswer);
    const auto known = qmp ? qmp_devices(*qmp, kAnswer) : Result<std::map<std::string, std::string>>(qmp.error());
    if (!known) return monitor_there(socket_) ? Result<bool>(known.error()) : Result<bool>(false);  // it has just ended
    return std::any_of(devices_.begin(), devices_.end(),
                       [&](const Device& device) { return known->contains(device.id); });
  }

  const LaunchBackend::Runs& runs_;
  std::string socket_, guest_;
  std::vector<Device> devices_;
};

}  // namespace

void LaunchBackend::expect(Guest guest, std::map<PciAddress, std::string> devices) {
  guest.backend = name();
  expected_ = std::move(guest);
  devices_ = std::move(devices);
}

Result<std::vector<Guest>> LaunchBackend::guests() {
  return expected_ ? std::vector<Guest>{*expected_} : std::vector<Guest>{};
}

Result<Plan> LaunchBackend::plan(const Handover& handover, const Guest& guest) {
  if (handover.persistent) {
    return Error{
        fmt::format("VM {} is started by nearmetal vm run and has no definition. Leave --persistent out.", guest.name)};
  }
  std::vector<Device> devices;
  for (const inventory::PciFunction& function : handover.functions) {
    const auto known = devices_.find(function.address);
    if (known == devices_.end()) {
      return Error{fmt::format("VM {} was not made for {}. Name it with --gpu, or attach it when the guest runs.",
                               guest.name, function.address.text())};
    }
    devices.push_back({function.address, known->second});
  }
  if (devices.empty()) return Error{"There is nothing to start VM " + guest.name + " with."};
  Plan plan;
  plan.steps.push_back(std::make_unique<LaunchedStep>(runs_, guest.id, guest.name, std::move(devices)));
  return plan;
}

Result<std::unique_ptr<Step>> LaunchBackend::step(std::string_view kind, const Json& record) {
  if (kind != kKind) return std::unique_ptr<Step>();
  const Error odd{"The record of a guest's start lacks its socket, its name or its devices."};
  if (!record.is_object() || !record.contains("devices") || !record["devices"].is_array()) return odd;
  std::vector<Device> devices;
  for (const Json& item : record["devices"]) {
    if (!item.is_object() || !item.contains("address") || !item["address"].is_string() || !item.contains("id") ||
        !item["id"].is_string()) {
      return odd;
    }
    const auto address = inventory::parse_pci_address(item["address"].get<std::string>());
    if (!address) return odd;
    devices.push_back({*address, item["id"].get<std::string>()});
  }
  if (devices.empty() || !record.contains("socket") || !record["socket"].is_string() || !record.contains("guest") ||
      !record["guest"].is_string()) {
    return odd;
  }
  return std::unique_ptr<Step>(std::make_unique<LaunchedStep>(runs_, record["socket"].get<std::string>(),
                                                              record["guest"].get<std::string>(), std::move(devices)));
}

Result<bool> LaunchBackend::has(const std::string& guest_id, const std::vector<PciAddress>&) {
  return !over_ && runs_(guest_id);
}

}  // namespace nm::attach
