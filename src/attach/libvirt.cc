#include "attach/libvirt.h"

#include <fmt/format.h>

#include <algorithm>

#include "attach/virsh.h"
#include "base/number.h"
#include "inventory/reader.h"

namespace nm::attach {
namespace {

constexpr std::string_view kKind = "libvirt-device";
constexpr Millis kPlug{300'000};     // plugging in pins all of a guest's memory first
constexpr Millis kAskAgain{10'000};  // a guest that was starting when it was asked has not heard it

std::string text_of(const PciAddress& address) { return address.text(); }

// One function of the host in one domain: in what runs (live), in its definition (config), or in both.
class DeviceStep : public Step {
 public:
  struct Where {
    std::string uri, uuid, name;
    PciAddress address;
    bool live = true, config = false;
  };
  explicit DeviceStep(Where where) : where_(std::move(where)) {}

  std::string_view kind() const override { return kKind; }
  Json record() const override {
    return {{"uri", where_.uri},   {"uuid", where_.uuid},    {"name", where_.name}, {"address", where_.address.text()},
            {"live", where_.live}, {"config", where_.config}};
  }
  std::string title() const override {
    return fmt::format("Put {} into {}VM {}", text_of(where_.address), where_.live ? "" : "the definition of ",
                       where_.name);
  }
  std::string undo_title() const override {
    return fmt::format("Take {} out of {}VM {}", text_of(where_.address), where_.live ? "" : "the definition of ",
                       where_.name);
  }
  std::vector<std::string> commands() const override { return {command("attach-device")}; }
  std::vector<std::string> undo_commands() const override { return {command("detach-device")}; }

  bool survives_boot() const override { return where_.config; }

  Result<void> perform(Context& context) override {
    const Virsh virsh(context.system, where_.uri);
    for (const bool config : {false, true}) {
      if (!wanted(config)) continue;
      const auto there = present(virsh, config);
      if (!there) return there.error();
      if (*there) continue;
      const auto done =
          virsh.run({"attach-device", where_.uuid, "/dev/stdin", flag(config)}, kPlug, hostdev_xml(where_.address));
      if (!done) return done.error();
      if (done->status != 0) return refused(complaint(*done), config);
    }
    return {};
  }

  Result<void> verify(Context& context) override {
    const Virsh virsh(context.system, where_.uri);
    for (const bool config : {false, true}) {
      if (!wanted(config)) continue;
      const auto there = present(virsh, config);
      if (!there) return there.error();
      if (!*there) {
        return Error{
            fmt::format("libvirt says that it has put {} into VM {}, and the domain does not have it. Look at "
                        "virsh dumpxml {}.",
                        text_of(where_.address), where_.name, where_.name)};
      }
    }
    return {};
  }

  // From the definition first: a guest that never lets go then starts without it the next time.
  Result<void> undo(Context& context) override {
    const Virsh virsh(context.system, where_.uri);
    if (where_.config) {
      const auto there = present(virsh, true);
      if (!there) return there.error();
      if (*there) {
        const auto done = request(virsh, true);
        if (!done) return done;
      }
    }
    return where_.live ? take_out(context, virsh) : Result<void>();
  }

  Result<void> verify_undone(Context& context) override {
    const Virsh virsh(context.system, where_.uri);
    for (const bool config : {false, true}) {
      if (!wanted(config)) continue;
      const auto there = present(virsh, config);
      if (!there) return there.error();
      if (*there) {
        return Error{fmt::format("VM {} still has {}. Look at virsh dumpxml {}.", where_.name, text_of(where_.address),
                                 where_.name)};
      }
    }
    return {};
  }

 private:
  bool wanted(bool config) const { return config ? where_.config : where_.live; }
  static std::string flag(bool config) { return config ? "--config" : "--live"; }

  std::string command(const char* verb) const {
    std::string flags;
    if (where_.live) flags += " --live";
    if (where_.config) flags += " --config";
    return fmt::format("virsh -c {} {} {} /dev/stdin{} <<'END'\n{}END", shell_word(where_.uri), verb, where_.uuid,
                       flags, hostdev_xml(where_.address));
  }

  // A domain that does not run, or is no more, has nothing plugged in.
  Result<bool> present(const Virsh& virsh, bool config) const {
    const auto domain = virsh.domain(where_.uuid, config);
    if (!domain) {
      if (says_gone(domain.error().message)) return false;
      return domain.error();
    }
    return (config || domain->running) && domain->has(where_.address);
  }

  Error refused(const std::string& why, bool config) const {
    std::string advice;
    if (why.find("No more available PCI slots") != why.npos) {
      advice =
          " Give the domain a free <controller type='pci' model='pcie-root-port'/>, which it gets when it is started "
          "anew.";
    } else if (why.find("in use by") != why.npos) {
      advice = " Take it from there first.";
    } else if (why.find("domain is not running") != why.npos) {
      advice = " Start it, or put the GPU into its definition.";
    }
    return Error{fmt::format("libvirt does not put {} into {}VM {}: {}.{}", text_of(where_.address),
                             config ? "the definition of " : "", where_.name, why, advice)};
  }

  Result<void> request(const Virsh& virsh, bool config) const {
    const auto done =
        virsh.run({"detach-device", where_.uuid, "/dev/stdin", flag(config)}, kPlug, hostdev_xml(where_.address));
    if (!done) return done.error();
    if (done->status == 0) return {};
    return Error{fmt::format("libvirt does not take {} out of {}VM {}: {}.", text_of(where_.address),
                             config ? "the definition of " : "", where_.name, complaint(*done))};
  }

  // virsh asks the guest and waits a few seconds; that it ended well may mean that the guest was asked. So it is looked
  // for until it is really gone.
  Result<void> take_out(Context& context, const Virsh& virsh) const {
    const TimePoint deadline = Clock::now() + context.guest;
    TimePoint ask = Clock::now();
    std::string last;
    for (;;) {
      const auto there = present(virsh, false);
      if (!there) return there.error();
      if (!*there) return {};
      if (context.stopped()) {
        return Error{fmt::format("Stopped while VM {} had not yet let go of {}; it may still do so.", where_.name,
                                 text_of(where_.address))};
      }
      if (Clock::now() >= deadline) break;
      if (Clock::now() >= ask) {
        if (const auto asked = request(virsh, false); !asked) last = asked.error().message;
        ask = Clock::now() + kAskAgain;
        continue;  // as a rule it is gone by now
      }
      context.system.pause();
    }
    return Error{fmt::format(
        "VM {} has not let go of {} within {} s{} Nothing was changed on the host. End what uses the GPU in the guest, "
        "or "
        "shut the guest down, then detach again.",
        where_.name, text_of(where_.address), context.guest.count() / 1000, last.empty() ? "." : ": " + last)};
  }

  Where where_;
};

// Of the process that runs a domain: it has the domain's UUID on its command line.
pid_t find_pid(const inventory::Host& host, const std::string& uuid) {
  for (const std::string& name : host.list("/proc").names) {
    std::string_view digits = name;
    pid_t pid = 0;
    if (!take_number(&digits, &pid) || !digits.empty()) continue;
    const inventory::Reading comm = host.read("/proc/" + name + "/comm", 64);
    if (!comm.text.starts_with("qemu") && !comm.text.starts_with("kvm")) continue;
    const std::string line = host.read("/proc/" + name + "/cmdline", 256 << 10).text;
    if (line.find(std::string("-uuid") + '\0' + uuid + '\0') != line.npos) return pid;
  }
  return 0;
}

bool installed(const inventory::Host& host) {
  for (const char* path : {"/usr/bin/virsh", "/bin/virsh", "/usr/local/bin/virsh"}) {
    if (host.exists(path)) return true;
  }
  return false;
}

}  // namespace

Result<std::vector<Guest>> LibvirtBackend::guests() {
  std::vector<Guest> guests;
  if (!installed(system_.host())) return guests;
  const Virsh virsh(system_, uri_);
  const auto list = virsh.run({"list", "--all", "--uuid"});
  if (!list) return list.error();
  if (list->status != 0) {
    // The client alone is installed, or its daemon is off: no guests of libvirt's.
    const std::string why = complaint(*list);
    if (why.find("No such file or directory") != why.npos) return guests;
    return Error{fmt::format("libvirt ({}) does not answer: {}.", uri_, why)};
  }
  for (const std::string_view line : inventory::lines_of(list->out)) {
    const std::string uuid(inventory::trimmed(line));
    if (!is_uuid(uuid)) continue;
    const auto domain = virsh.domain(uuid, false);
    if (!domain) {
      if (says_gone(domain.error().message)) continue;  // it went meanwhile
      return domain.error();
    }
    guests.push_back({.backend = std::string(name()),
                      .name = domain->name,
                      .id = uuid,
                      .pid = domain->running ? find_pid(system_.host(), uuid) : 0});
  }
  return guests;
}

Result<Plan> LibvirtBackend::plan(const Handover& handover, const Guest& guest) {
  const Virsh virsh(system_, uri_);
  const auto domain = virsh.domain(guest.id, false);
  if (!domain) return domain.error();
  if (!domain->running && !handover.persistent) {
    return Error{fmt::format(
        "VM {} does not run. Start it (virsh start {}), or put the GPU into its definition with --persistent.",
        guest.name, guest.name)};
  }
  if (domain->running && domain->machine.find("q35") == domain->machine.npos) {
    return Error{fmt::format(
        "VM {} is of machine type {}, whose slots take no PCI Express devices while it runs. Use a q35 machine, or put "
        "the GPU into its definition with --persistent while it does not run.",
        guest.name, domain->machine.empty() ? "unknown" : inventory::clean(domain->machine, 40))};
  }
  if (domain->running && handover.persistent) {
    // A domain that was made by `virsh create` has no definition to keep anything in.
    const auto info = virsh.run({"dominfo", guest.id});
    if (!info) return info.error();
    for (const std::string_view line : inventory::lines_of(info->out)) {
      const auto words = inventory::words_of(line);
      if (words.size() != 2 || words[0] != "Persistent:" || words[1] != "no") continue;
      return Error{
          fmt::format("VM {} has no definition: it is gone when it ends. Leave --persistent out, or virsh "
                      "define it first.",
                      guest.name)};
    }
  }
  Plan plan;
  for (const inventory::PciFunction& function : handover.functions) {
    if (domain->has(function.address)) {
      return Error{fmt::format("VM {} has {} in its definition already. Take it out first: virsh edit {}.", guest.name,
                               function.address.text(), guest.name)};
    }
    plan.steps.push_back(std::make_unique<DeviceStep>(DeviceStep::Where{.uri = uri_,
                                                                        .uuid = guest.id,
                                                                        .name = guest.name,
                                                                        .address = function.address,
                                                                        .live = domain->running,
                                                                        .config = handover.persistent}));
  }
  if (handover.functions.size() > 1) {
    plan.notes.push_back(
        fmt::format("The {} functions of the card become {} devices in the guest, each in a slot of its "
                    "own: libvirt takes several out of one slot only by shutting the guest down.",
                    handover.functions.size(), handover.functions.size()));
  }
  if (!domain->running) {
    plan.notes.push_back(fmt::format("VM {} does not run: it has the GPU from its next start on.", guest.name));
  }
  return plan;
}

Result<std::unique_ptr<Step>> LibvirtBackend::step(std::string_view kind, const Json& record) {
  if (kind != kKind) return std::unique_ptr<Step>();
  DeviceStep::Where where;
  const auto text = [&](const char* key) {
    return record.is_object() && record.contains(key) && record[key].is_string() ? record[key].get<std::string>() : "";
  };
  const auto yes = [&](const char* key) {
    return record.is_object() && record.contains(key) && record[key].is_boolean() && record[key].get<bool>();
  };
  const auto address = inventory::parse_pci_address(text("address"));
  where = {
      .uri = text("uri"), .uuid = text("uuid"), .name = text("name"), .live = yes("live"), .config = yes("config")};
  if (!address || where.uri.empty() || !is_uuid(where.uuid)) {
    return Error{"The record of a step in libvirt lacks its URI, its domain's UUID or the device's address."};
  }
  where.address = *address;
  return std::unique_ptr<Step>(std::make_unique<DeviceStep>(std::move(where)));
}

Result<bool> LibvirtBackend::has(const std::string& guest_id, const std::vector<PciAddress>& functions) {
  if (!is_uuid(guest_id)) return Error{"\"" + inventory::clean(guest_id, 60) + "\" is no UUID of a libvirt domain."};
  const auto domain = Virsh(system_, uri_).domain(guest_id, false);
  if (!domain) {
    if (says_gone(domain.error().message)) return false;
    return domain.error();
  }
  return domain->running && std::all_of(functions.begin(), functions.end(),
                                        [&](const PciAddress& address) { return domain->has(address); });
}

}  // namespace nm::attach
