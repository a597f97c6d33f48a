#include "attach/qmp_device.h"

#include <fmt/format.h>

#include "inventory/reader.h"

namespace nm::attach {
namespace {

constexpr Millis kGreeting{15'000}, kAnswer{30'000}, kBetweenLooks{1'000};

class QmpAdd : public Step {
 public:
  explicit QmpAdd(QmpDevice device) : device_(std::move(device)), id_(qmp_device_id(device_.function)) {}

  std::string_view kind() const override { return "qmp-device"; }
  Json record() const override {
    return {{"socket", device_.socket},
            {"guest", device_.guest},
            {"pid", device_.pid},
            {"pid_started", device_.pid_started},
            {"function", device_.function.text()},
            {"bus", device_.bus},
            {"number", device_.number},
            {"multifunction", device_.multifunction}};
  }
  std::string title() const override {
    return fmt::format("Plug {} into VM {}", device_.function.text(), device_.guest);
  }
  std::string undo_title() const override {
    return fmt::format("Unplug {} from VM {}", device_.function.text(), device_.guest);
  }
  std::vector<std::string> commands() const override { return said("device_add", arguments()); }
  std::vector<std::string> undo_commands() const override {
    auto lines = said("device_del", {{"id", id_}});
    lines.push_back("# and wait for the event DEVICE_DELETED of " + id_);
    return lines;
  }

  Result<void> perform(Context& context) override {
    auto qmp = Qmp::connect(device_.socket, kGreeting);
    if (!qmp) return qmp.error();
    auto devices = qmp_devices(*qmp, kAnswer);
    if (!devices) return devices.error();
    if (devices->contains(id_)) return {};
    // QEMU maps all of the guest's memory for the device before it answers: seconds, for a large guest.
    const auto answer = qmp->command("device_add", arguments(), std::max(context.guest, kAnswer));
    if (!answer) return answer.error();
    if (answer->good()) return {};
    return Error{fmt::format("VM {} does not take {}: {}{}", device_.guest, device_.function.text(), answer->error,
                             hint(answer->error))};
  }

  Result<void> verify(Context&) override {
    const auto there = is_there();
    if (!there) return there.error();
    if (*there) return {};
    return Error{fmt::format("VM {} said that it took {} and does not have it. Look at the machine's log.",
                             device_.guest, device_.function.text())};
  }

  Result<void> undo(Context& context) override {
    if (ended(context)) return {};
    auto qmp = Qmp::connect(device_.socket, kGreeting);
    if (!qmp) return ended(context) ? Result<void>() : Result<void>(qmp.error());
    auto devices = qmp_devices(*qmp, kAnswer);
    if (!devices) return lost(context, devices.error());
    if (!devices->contains(id_)) return {};
    const auto answer = qmp->command("device_del", {{"id", id_}}, kAnswer);
    if (!answer) return lost(context, answer.error());
    // A request that somebody made before is as good as ours.
    if (!answer->good() && answer->error_class != "DeviceNotFound" &&
        answer->error.find("in the process of unplug") == std::string::npos) {
      return Error{fmt::format("VM {} cannot let go of {} now: {}. Try again in a moment.", device_.guest,
                               device_.function.text(), answer->error)};
    }
    return wait_until_gone(context, *qmp);
  }

  Result<void> verify_undone(Context& context) override {
    if (ended(context)) return {};
    const auto there = is_there();
    if (!there) return lost(context, there.error());
    if (!*there) return {};
    return Error{fmt::format("VM {} still has {}. Try again in a moment.", device_.guest, device_.function.text())};
  }

 private:
  Json arguments() const {
    Json arguments = {{"driver", "vfio-pci"}, {"host", device_.function.text()}, {"id", id_}, {"bus", device_.bus}};
    arguments["addr"] = fmt::format("0x0.{:x}", device_.number);
    if (device_.multifunction) arguments["multifunction"] = true;
    return arguments;
  }

  std::vector<std::string> said(const char* command, const Json& arguments) const {
    const Json message = {{"execute", command}, {"arguments", arguments}};
    return {fmt::format("printf '%s\\n' '{{\"execute\":\"qmp_capabilities\"}}' {} | socat -t 30 - UNIX-CONNECT:{}",
                        shell_word(message.dump(-1, ' ', false, Json::error_handler_t::replace)),
                        shell_word(device_.socket))};
  }

  static std::string hint(const std::string& error) {
    if (error.find("memory") != std::string::npos || error.find("MEMLOCK") != std::string::npos) {
      return ". All of the guest's memory is locked for the device: raise its memlock limit.";
    }
    if (error.find("not viable") != std::string::npos) {
      return ". Something in the same IOMMU group still has a driver of the host's.";
    }
    return error.ends_with('.') ? "" : ".";
  }

  // The QEMU that we knew is no more, and its devices went with it.
  bool ended(Context& context) const {
    const uint64_t started = device_.pid > 0 ? start_of_process(context.system.host(), device_.pid) : 0;
    if (device_.pid > 0 && device_.pid_started != 0) return started != device_.pid_started;
    return nobody_listens(device_.socket);
  }

  // An error of the connection is none if it broke because the machine ended.
  Result<void> lost(Context& context, const Error& error) const {
    for (int look = 0; look < 100; ++look) {
      if (ended(context)) return {};
      if (nobody_listens(device_.socket) && device_.pid_started == 0) return {};
      if (!nobody_listens(device_.socket) && look > 3) break;
      context.system.pause();
    }
    return error;
  }

  Result<bool> is_there() const {
    auto qmp = Qmp::connect(device_.socket, kGreeting);
    if (!qmp) return qmp.error();
    const auto devices = qmp_devices(*qmp, kAnswer);
    if (!devices) return devices.error();
    return devices->contains(id_);
  }

  Result<void> wait_until_gone(Context& context, Qmp& qmp) const {
    const TimePoint deadline = Clock::now() + context.guest;
    for (;;) {
      // The list is what counts: an event may have gone to a client before us.
      const auto devices = qmp_devices(qmp, kAnswer);
      if (!devices) return lost(context, devices.error());
      if (!devices->contains(id_)) return {};
      if (context.stopped()) return Error{"You interrupted it."};
      const Millis left = time_left(deadline);
      if (left == Millis::zero()) {
        return Error{fmt::format(
            "VM {} has not let go of {} within {} s; it keeps the GPU, and nothing was taken from it. A guest that has "
            "not "
            "booted, or whose driver is busy, does not answer: end what uses the GPU there and try again with a longer "
            "--timeout, or shut the machine down.",
            device_.guest, device_.function.text(), context.guest.count() / 1000)};
      }
      auto event = qmp.event(std::min(left, kBetweenLooks));
      if (!event) return lost(context, event.error());
      if (!*event || (*event)->name != "DEVICE_UNPLUG_GUEST_ERROR") continue;
      const auto named = (*event)->data.find("device");
      if (named != (*event)->data.end() && *named == id_) {
        return Error{
            fmt::format("VM {} refuses to let go of {}: its kernel has said no. End what uses the GPU there, then "
                        "try again.",
                        device_.guest, device_.function.text())};
      }
    }
  }

  QmpDevice device_;
  std::string id_;
};

}  // namespace

std::string qmp_device_id(const PciAddress& function) {
  std::string id = "nearmetal-" + function.text();
  for (char& c : id) c = c == ':' ? '-' : c;
  return id;
}

Result<std::map<std::string, std::string>> qmp_devices(Qmp& qmp, Millis limit) {
  const auto answer = qmp.command("qom-list", {{"path", "/machine/peripheral"}}, limit);
  if (!answer) return answer.error();
  if (!answer->good() || !answer->value.is_array()) {
    return Error{fmt::format("The virtual machine at {} does not list its devices: {}.", qmp.path(), answer->error)};
  }
  std::map<std::string, std::string> devices;
  for (const auto& item : answer->value) {
    if (!item.is_object() || !item.contains("name") || !item.contains("type")) continue;
    if (!item["name"].is_string() || !item["type"].is_string()) continue;
    const std::string type = item["type"].get<std::string>();  // "child<pcie-root-port>"
    if (!type.starts_with("child<") || !type.ends_with(">")) continue;
    devices[item["name"].get<std::string>()] = type.substr(6, type.size() - 7);
  }
  return devices;
}

std::unique_ptr<Step> add_qmp_device(QmpDevice device) { return std::make_unique<QmpAdd>(std::move(device)); }

std::unique_ptr<Step> read_qmp_device(const Json& record) {
  const auto function = inventory::parse_pci_address(record.at("function").get<std::string>());
  if (!function) throw std::runtime_error("a PCI address makes no sense");
  return add_qmp_device({.socket = record.at("socket").get<std::string>(),
                         .guest = record.at("guest").get<std::string>(),
                         .pid = record.at("pid").get<pid_t>(),
                         .pid_started = record.at("pid_started").get<uint64_t>(),
                         .function = *function,
                         .bus = record.at("bus").get<std::string>(),
                         .number = record.at("number").get<int>(),
                         .multifunction = record.at("multifunction").get<bool>()});
}

}  // namespace nm::attach
