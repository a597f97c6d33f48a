#include "attach/vfio_steps.h"

#include <fmt/format.h>

#include "inventory/pci.h"
#include "inventory/reader.h"
#include "inventory/readiness.h"

namespace nm::attach {
namespace {

using inventory::device_directory;

constexpr const char* kProbe = "/sys/bus/pci/drivers_probe";

std::string module_directory(std::string name) {
  for (char& c : name) c = c == '-' ? '_' : c;
  return "/sys/module/" + name;
}

std::string last_line(const std::string& text) {
  const auto lines = inventory::lines_of(inventory::trimmed(text));
  return lines.empty() ? "it said nothing" : inventory::clean(lines.back());
}

Result<void> run_program(Context& context, const std::vector<std::string>& argv, const std::string& next) {
  std::string line;
  for (const std::string& word : argv) line += (line.empty() ? "" : " ") + shell_word(word);
  const auto finished = context.system.run(argv, context.guest);
  if (!finished) return Error{finished.error().message + " " + next};
  if (finished->late)
    return Error{fmt::format("`{}` has not ended within {} s. {}", line, context.guest.count() / 1000, next)};
  if (finished->status != 0) return Error{fmt::format("`{}` failed: {}. {}", line, last_line(finished->err), next)};
  return {};
}

Result<void> load(Context& context, const std::string& name) {
  if (context.system.host().exists(module_directory(name))) return {};
  return run_program(context, {"modprobe", name},
                     "Install the package that has the kernel's module; `nearmetal doctor` tells which.");
}

class LoadModule : public Step {
 public:
  explicit LoadModule(std::string name) : name_(std::move(name)) {}
  std::string_view kind() const override { return "module"; }
  Json record() const override { return {{"name", name_}}; }
  std::string title() const override { return "Load the kernel's module " + name_; }
  std::string undo_title() const override { return "Leave the module " + name_ + " loaded"; }
  std::vector<std::string> commands() const override { return {"modprobe " + name_}; }
  std::vector<std::string> undo_commands() const override { return {}; }
  Result<void> perform(Context& context) override { return load(context, name_); }
  Result<void> verify(Context& context) override {
    if (context.system.host().exists(module_directory(name_))) return {};
    return Error{fmt::format("modprobe {} said that all was well, and {} is not there. Look at dmesg.", name_,
                             module_directory(name_))};
  }
  Result<void> undo(Context&) override { return {}; }
  Result<void> verify_undone(Context&) override { return {}; }

 private:
  std::string name_;
};

class Bind : public Step {
 public:
  explicit Bind(FunctionState before) : before_(std::move(before)), name_(before_.address.text()) {}
  std::string_view kind() const override { return "bind"; }
  Json record() const override { return to_json(before_); }
  std::string title() const override { return fmt::format("Bind {} to {}", name_, kVfioDriver); }
  std::string undo_title() const override {
    return before_.driver.empty() ? "Leave " + name_ + " without a driver, as it was"
                                  : fmt::format("Give {} back to {}", name_, before_.driver);
  }
  std::vector<std::string> commands() const override {
    std::vector<std::string> lines = {echo_command(kVfioDriver, directory() + "/driver_override")};
    if (!before_.driver.empty()) lines.push_back(echo_command(name_, directory() + "/driver/unbind"));
    lines.push_back(echo_command(name_, kProbe));
    return lines;
  }
  std::vector<std::string> undo_commands() const override {
    std::vector<std::string> lines = {echo_command(before_.override, directory() + "/driver_override"),
                                      echo_command(name_, directory() + "/driver/unbind")};
    if (!before_.driver.empty()) lines.push_back(echo_command(name_, bind_file()));
    return lines;
  }

  Result<void> perform(Context& context) override {
    FunctionState now = read_function_state(context.system.host(), before_.address);
    if (now.driver == kVfioDriver && now.override == kVfioDriver) return {};
    if (auto set = override_with(context, kVfioDriver); !set) return set;
    if (now.driver != kVfioDriver) {
      if (auto free = unbind(context, now.driver); !free) return free;
      if (auto probed = context.system.write(kProbe, name_, context.kernel); !probed) {
        return Error{
            fmt::format("{} cannot be bound to {}: {}. Look at dmesg.", name_, kVfioDriver, probed.error().message)};
      }
    }
    return {};
  }

  Result<void> verify(Context& context) override { return has_driver(context, kVfioDriver, "It was given away"); }

  Result<void> undo(Context& context) override {
    FunctionState now = read_function_state(context.system.host(), before_.address);
    if (now.override != before_.override) {
      if (auto set = override_with(context, before_.override); !set) return set;
    }
    if (now.driver == before_.driver) return {};
    if (auto free = unbind(context, now.driver); !free) return free;
    if (before_.driver.empty()) return {};
    // By name, not by a probe: where two drivers know the device, it gets the one that it had.
    if (!context.system.host().exists("/sys/bus/pci/drivers/" + before_.driver)) {
      if (auto loaded = load(context, before_.driver); !loaded) return loaded;
      if (read_function_state(context.system.host(), before_.address).driver == before_.driver) return {};
    }
    if (auto bound = context.system.write(bind_file(), name_, context.kernel); !bound) {
      // Loading the module may have bound it meanwhile.
      if (read_function_state(context.system.host(), before_.address).driver == before_.driver) return {};
      return Error{fmt::format("{} takes {} no more: {}. Look at dmesg; a reset may help, or a reboot.", before_.driver,
                               name_, bound.error().message)};
    }
    return {};
  }

  Result<void> verify_undone(Context& context) override {
    return has_driver(context, before_.driver, "It was given back");
  }

 private:
  std::string directory() const { return device_directory(before_.address); }
  std::string bind_file() const { return "/sys/bus/pci/drivers/" + before_.driver + "/bind"; }

  Result<void> override_with(Context& context, const std::string& driver) {
    // An empty line takes the name away.
    auto written = context.system.write(directory() + "/driver_override", driver + "\n", context.kernel);
    if (written) return {};
    return Error{fmt::format("{} cannot be kept for a driver: {}. This needs root, and a device that is still there.",
                             name_, written.error().message)};
  }

  Result<void> unbind(Context& context, const std::string& driver) {
    if (driver.empty()) return {};
    auto written = context.system.write(directory() + "/driver/unbind", name_, context.kernel);
    if (written || read_function_state(context.system.host(), before_.address).driver.empty()) return {};
    return Error{
        fmt::format("{} does not let go of {}: {}. Something in the kernel or a program still uses it: "
                    "`nearmetal gpus --local --wide` names who is known.",
                    driver, name_, written.error().message)};
  }

  Result<void> has_driver(Context& context, const std::string& driver, const char* what) {
    const FunctionState now = read_function_state(context.system.host(), before_.address);
    if (now.driver == driver) return {};
    const auto name = [](const std::string& text) { return text.empty() ? std::string("no driver") : text; };
    return Error{fmt::format("{} has {} instead of {}. {}, and something else took it or refused it; look at dmesg.",
                             name_, name(now.driver), name(driver), what)};
  }

  FunctionState before_;
  std::string name_;
};

class Reset : public Step {
 public:
  Reset(PciAddress address, bool insist) : address_(address), insist_(insist) {}
  std::string_view kind() const override { return "reset"; }
  Json record() const override { return {{"address", address_.text()}, {"insist", insist_}}; }
  std::string title() const override { return "Reset " + address_.text(); }
  std::string undo_title() const override {
    return "Nothing: a reset of " + address_.text() + " changes nobody's state";
  }
  std::vector<std::string> commands() const override {
    return {echo_command("1", file()), fmt::format("# 'ffffffff' here is a device that did not come back:"),
            fmt::format("od -An -tx4 -N4 {}/config", device_directory(address_))};
  }
  std::vector<std::string> undo_commands() const override { return {}; }
  Result<void> perform(Context& context) override {
    // Where a function cannot be reset alone, VFIO has reset the bus when the last user of all its functions left.
    if (!context.system.host().exists(file()) || !resets_alone(context.system.host())) return {};
    auto written = context.system.write(file(), "1", context.guest);
    if (written || !insist_) return {};
    return Error{fmt::format("{} cannot be reset: {}. `nearmetal release --force` gives it back as it is.",
                             address_.text(), written.error().message)};
  }
  Result<void> verify(Context& context) override {
    if (!insist_ || answers(context.system.host(), address_)) return {};
    return Error{
        fmt::format("{} does not answer after its reset: its configuration reads as all ones. It may need a "
                    "power cycle of the host.",
                    address_.text())};
  }
  Result<void> undo(Context&) override { return {}; }
  Result<void> verify_undone(Context&) override { return {}; }

 private:
  std::string file() const { return device_directory(address_) + "/reset"; }
  // The kernel offers a reset of the bus even to a function that is not alone there, and then refuses it.
  bool resets_alone(const inventory::Host& host) const {
    const inventory::Reading methods = host.read(device_directory(address_) + "/reset_method", 256);
    if (inventory::trimmed(methods.text) != "bus") return true;
    const std::string name = address_.text(), bus = name.substr(0, name.rfind(':') + 1);
    for (const std::string& other : host.list("/sys/bus/pci/devices").names) {
      if (other != name && other.starts_with(bus)) return false;
    }
    return true;
  }
  PciAddress address_;
  bool insist_;
};

class StopUnit : public Step {
 public:
  explicit StopUnit(std::string unit) : unit_(std::move(unit)) {}
  std::string_view kind() const override { return "stop-unit"; }
  Json record() const override { return {{"unit", unit_}}; }
  std::string title() const override { return "Stop " + unit_; }
  std::string undo_title() const override { return "Start " + unit_; }
  std::vector<std::string> commands() const override { return {"systemctl stop " + shell_word(unit_)}; }
  std::vector<std::string> undo_commands() const override { return {"systemctl start " + shell_word(unit_)}; }
  Result<void> perform(Context& context) override {
    return run_program(context, {"systemctl", "stop", "--", unit_}, "Stop it by hand, then try again.");
  }
  Result<void> verify(Context&) override { return {}; }  // nobody_holds looks at what counts
  Result<void> undo(Context& context) override {
    return run_program(context, {"systemctl", "start", "--", unit_}, "Start it by hand, then run `nearmetal recover`.");
  }
  Result<void> verify_undone(Context&) override { return {}; }

 private:
  std::string unit_;
};

class EndProcess : public Step {
 public:
  EndProcess(pid_t pid, uint64_t started, std::string name) : pid_(pid), started_(started), name_(std::move(name)) {}
  std::string_view kind() const override { return "end-process"; }
  Json record() const override { return {{"pid", pid_}, {"started", started_}, {"name", name_}}; }
  std::string title() const override { return fmt::format("End {} (pid {})", name_, pid_); }
  std::string undo_title() const override { return fmt::format("Nothing: {} is started by whoever did so", name_); }
  std::vector<std::string> commands() const override { return {fmt::format("kill {}  # {}", pid_, name_)}; }
  std::vector<std::string> undo_commands() const override { return {}; }
  Result<void> perform(Context& context) override { return context.system.end_process(pid_, started_, context.kernel); }
  Result<void> verify(Context&) override { return {}; }
  Result<void> undo(Context&) override { return {}; }
  Result<void> verify_undone(Context&) override { return {}; }

 private:
  pid_t pid_;
  uint64_t started_;
  std::string name_;
};

class ReleaseConsole : public Step {
 public:
  explicit ReleaseConsole(std::string console) : console_(std::move(console)) {}
  std::string_view kind() const override { return "console"; }
  Json record() const override { return {{"console", console_}}; }
  std::string title() const override { return "Take the text console off the framebuffer (" + console_ + ")"; }
  std::string undo_title() const override { return "Put the text console back on the framebuffer (" + console_ + ")"; }
  std::vector<std::string> commands() const override { return {echo_command("0", file())}; }
  std::vector<std::string> undo_commands() const override { return {echo_command("1", file())}; }
  Result<void> perform(Context& context) override { return set(context, "0"); }
  Result<void> verify(Context&) override { return {}; }
  // Where the framebuffer does not come back, there is nothing to put the console on, and no harm in that.
  Result<void> undo(Context& context) override { return (void)set(context, "1"), Result<void>(); }
  Result<void> verify_undone(Context&) override { return {}; }

 private:
  std::string file() const { return "/sys/class/vtconsole/" + console_ + "/bind"; }
  Result<void> set(Context& context, const char* value) {
    if (!context.system.host().exists(file())) return {};
    auto written = context.system.write(file(), value, context.kernel);
    if (written) return {};
    return Error{fmt::format("The text console stays on {}: {}.", console_, written.error().message)};
  }
  std::string console_;
};

class NobodyHolds : public Step {
 public:
  explicit NobodyHolds(PciAddress gpu) : gpu_(gpu) {}
  std::string_view kind() const override { return "nobody-holds"; }
  Json record() const override { return {{"gpu", gpu_.text()}}; }
  std::string title() const override { return "See that nobody has " + gpu_.text() + " open"; }
  std::string undo_title() const override { return "Nothing: looking changed nothing"; }
  std::vector<std::string> commands() const override {
    return {"# nobody may be named here:", "nearmetal gpus --local --wide | grep 'held by'"};
  }
  std::vector<std::string> undo_commands() const override { return {}; }
  Result<void> perform(Context& context) override {
    const TimePoint deadline = Clock::now() + context.kernel;
    for (;;) {
      const std::string names = holders(context.system.host());
      if (names.empty()) return {};
      if (context.stopped()) return Error{"You interrupted it."};
      if (Clock::now() >= deadline) {
        return Error{fmt::format("{} is held by {}. End that, then try again.", gpu_.text(), names)};
      }
      context.system.pause();
    }
  }
  Result<void> verify(Context&) override { return {}; }
  Result<void> undo(Context&) override { return {}; }
  Result<void> verify_undone(Context&) override { return {}; }

 private:
  std::string holders(const inventory::Host& host) const {
    std::string names;
    for (const inventory::Gpu& gpu : inventory::take_inventory(host).gpus) {
      if (gpu.function.address != gpu_) continue;
      for (const inventory::Holder& holder : gpu.holders) {
        if (holder.pid != 0 && holder.certain) names += (names.empty() ? "" : ", ") + holder.text();
      }
    }
    return names;
  }
  PciAddress gpu_;
};

PciAddress address_in(const Json& record, const char* key) {
  const auto address = inventory::parse_pci_address(record.at(key).get<std::string>());
  if (!address) throw std::runtime_error("a PCI address makes no sense");
  return *address;
}

}  // namespace

bool answers(const inventory::Host& host, const PciAddress& address) {
  const inventory::Reading config = host.read(device_directory(address) + "/config", 4);
  return config && config.text != "\xff\xff\xff\xff";
}

std::unique_ptr<Step> load_module(const std::string& name) { return std::make_unique<LoadModule>(name); }
std::unique_ptr<Step> bind_to_vfio(const FunctionState& before) { return std::make_unique<Bind>(before); }
std::unique_ptr<Step> reset_function(const PciAddress& address, bool insist) {
  return std::make_unique<Reset>(address, insist);
}
std::unique_ptr<Step> stop_unit(const std::string& unit) { return std::make_unique<StopUnit>(unit); }
std::unique_ptr<Step> end_process(pid_t pid, uint64_t started, const std::string& name) {
  return std::make_unique<EndProcess>(pid, started, name);
}
std::unique_ptr<Step> release_console(const std::string& console) { return std::make_unique<ReleaseConsole>(console); }
std::unique_ptr<Step> nobody_holds(const PciAddress& gpu) { return std::make_unique<NobodyHolds>(gpu); }

std::unique_ptr<Step> read_host_step(const std::string& kind, const Json& record) {
  if (kind == "module") return load_module(record.at("name").get<std::string>());
  if (kind == "bind") return bind_to_vfio(function_state_of(record));
  if (kind == "reset") return reset_function(address_in(record, "address"), record.at("insist").get<bool>());
  if (kind == "stop-unit") return stop_unit(record.at("unit").get<std::string>());
  if (kind == "end-process") {
    return end_process(record.at("pid").get<pid_t>(), record.at("started").get<uint64_t>(),
                       record.at("name").get<std::string>());
  }
  if (kind == "console") return release_console(record.at("console").get<std::string>());
  if (kind == "nobody-holds") return nobody_holds(address_in(record, "gpu"));
  return nullptr;
}

}  // namespace nm::attach
