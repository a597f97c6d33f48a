#include "attach/fake_kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "inventory/pci.h"
#include "inventory/reader.h"

namespace nm::attach {
namespace {

namespace fs = std::filesystem;

std::string trimmed(const std::string& text) { return std::string(inventory::trimmed(text)); }

}  // namespace

FakeKernel::FakeKernel(const std::string& root) : root_(root), host_(root, *this) {
  const fs::path home = fs::path(root_) / ".fake";
  if (fs::exists(home)) return;
  fs::create_directories(home / "native");
  replace("/proc/sys/kernel/random/boot_id", "boot-1\n");
  if (!fs::exists(root_ + "/sys/bus/pci/devices")) return;
  for (const auto& entry : fs::directory_iterator(root_ + "/sys/bus/pci/devices")) {
    const std::string address = entry.path().filename();
    replace("/.fake/native/" + address, driver_of(address) + "\n");
    if (!host_.read("/sys/bus/pci/devices/" + address + "/reset_method", 100)) continue;
    replace("/sys/bus/pci/devices/" + address + "/reset", "");
  }
}

std::string FakeKernel::content(const std::string& path) const { return trimmed(host_.read(path, 4096).text); }

void FakeKernel::replace(const std::string& path, const std::string& text) {
  fs::create_directories(fs::path(root_ + path).parent_path());
  std::ofstream(root_ + path, std::ios::binary | std::ios::trunc) << text;
}

bool FakeKernel::faulty(const std::string& what, const std::string& which) const {
  return host_.exists("/.fake/faults/" + what + "/" + which);
}
void FakeKernel::fault(const std::string& what, const std::string& which) {
  replace("/.fake/faults/" + what + "/" + which, "");
}
void FakeKernel::cure(const std::string& what, const std::string& which) {
  fs::remove(root_ + "/.fake/faults/" + what + "/" + which);
  if (what != "unbind-blocks") return;
  set_driver(which, "");  // what was waited for happens at last
  fs::remove_all(root_ + "/proc/7777");
}

void FakeKernel::unit(const std::string& name, int pid) {
  replace(fmt::format("/proc/{}/cgroup", pid), "0::/system.slice/" + name + "\n");
}

std::string FakeKernel::driver_of(const std::string& address) const {
  const std::string link = host_.link("/sys/bus/pci/devices/" + address + "/driver").text;
  return std::string(inventory::last_part(link));
}

void FakeKernel::set_driver(const std::string& address, const std::string& driver) {
  const std::string link = root_ + "/sys/bus/pci/devices/" + address + "/driver";
  fs::remove(link);
  if (driver.empty()) return;
  fs::create_directories(root_ + "/sys/bus/pci/drivers/" + driver);
  fs::create_symlink("../../../../bus/pci/drivers/" + driver, link);
}

// As the kernel matches: an override is the only driver that may have it.
Result<void> FakeKernel::probe(const std::string& address) {
  if (!driver_of(address).empty()) return {};
  const std::string kept = content("/sys/bus/pci/devices/" + address + "/driver_override");
  const std::string native = content("/.fake/native/" + address);
  const std::string driver = kept.empty() || kept == "(null)" ? native : kept;
  if (driver == "vfio-pci" && (!host_.exists("/sys/module/vfio_pci") || faulty("probe-refuses", address))) return {};
  set_driver(address, driver);
  return {};
}

Result<void> FakeKernel::react(const std::string& path, const std::string& text) {
  const std::string value = trimmed(text);
  const std::string_view file = inventory::last_part(path);
  const std::string directory = path.substr(0, path.rfind('/'));
  const auto said = [&](const char* why) { return Error{"writing to " + path + ": " + why}; };
  if (path == "/sys/bus/pci/drivers_probe") return probe(value);
  if (file == "driver_override") {
    replace(path, value.empty() ? "(null)\n" : value + "\n");
    return {};
  }
  if (file == "unbind") {
    const std::string address(inventory::last_part(directory.substr(0, directory.rfind('/'))));
    const std::string driver = driver_of(address);
    if (driver.empty() || value != address) return said("No such device");
    if (faulty("unbind-blocks", address)) return said("the kernel has not finished it");
    if (faulty("unbind-slow", address)) return said("the kernel has not finished it");
    if (faulty("rebinds", address) && driver != "vfio-pci") return {};
    set_driver(address, "");
    return {};
  }
  if (file == "bind" && path.starts_with("/sys/bus/pci/drivers/")) {
    const std::string driver(inventory::last_part(directory));
    if (!host_.exists("/sys/bus/pci/devices/" + value) || !driver_of(value).empty()) return said("No such device");
    if (driver != "vfio-pci" && faulty("bind-refuses", value)) return said("Input/output error");
    set_driver(value, driver);
    return {};
  }
  if (file == "reset") {
    const std::string address(inventory::last_part(directory));
    if (inventory::trimmed(host_.read(directory + "/reset_method", 100).text) == "bus") {
      // As the real one: it offers that to each function, and does it only to one that is alone on its bus.
      const std::string bus = address.substr(0, address.rfind(':') + 1);
      for (const std::string& other : host_.list("/sys/bus/pci/devices").names) {
        if (other != address && other.starts_with(bus)) return said("Inappropriate ioctl for device");
      }
    }
    if (faulty("reset-kills", address)) replace(directory + "/config", "\xff\xff\xff\xff");
    return {};
  }
  if (path.starts_with("/sys/class/vtconsole/")) {
    replace(path, value + "\n");
    return {};
  }
  return said("No such file or directory");
}

Result<void> FakeKernel::write(const std::string& path, const std::string& text, Millis) {
  if (at_change) at_change("before " + path);
  auto result = react(path, text);
  if (at_change) at_change("after " + path);
  return result;
}

std::vector<StuckWriter> FakeKernel::stuck() {
  std::vector<StuckWriter> list;
  const auto blocked = host_.list("/.fake/faults/unbind-blocks").names;
  for (const std::string& address : blocked) {
    replace("/proc/7777/stat",
            "7777 (nearmetal) D" + std::string(" 1 2 3 4 5 6 7 8 9") + " 10 11 12 13 14 15 16 17 18 4711 0\n");
    list.push_back({.pid = 7777,
                    .started = start_of_process(host_, 7777),
                    .path = "/sys/bus/pci/devices/" + address + "/driver/unbind"});
  }
  return list;
}

Result<Finished> FakeKernel::run(const std::vector<std::string>& argv, Millis, const std::string&) {
  std::string line;
  for (const std::string& word : argv) line += (line.empty() ? "" : " ") + word;
  if (at_change) at_change("before " + line);
  Finished finished{.status = 0};
  if (argv[0] == "modprobe" && faulty("no-module", argv[1])) {
    finished = {.status = 1, .err = "modprobe: FATAL: Module " + argv[1] + " not found in directory /lib/modules/x\n"};
  } else if (argv[0] == "modprobe") {
    std::string name = argv[1];
    std::replace(name.begin(), name.end(), '-', '_');
    fs::create_directories(root_ + "/sys/module/" + name);
  } else if (argv[0] == "systemctl") {
    const bool stop = argv[1] == "stop";
    const std::string from = stop ? "/proc" : "/.fake/stopped/" + argv.back();
    const std::string to = stop ? "/.fake/stopped/" + argv.back() : "/proc";
    for (const std::string& pid : host_.list(from).names) {
      if (content(from + "/" + pid + "/cgroup") != "0::/system.slice/" + argv.back()) continue;
      fs::create_directories(root_ + to);
      fs::rename(root_ + from + "/" + pid, root_ + to + "/" + pid);
    }
  } else {
    return Error{"There is no program " + argv[0] + " here."};
  }
  if (at_change) at_change("after " + line);
  return finished;
}

Result<void> FakeKernel::end_process(pid_t pid, uint64_t, Millis) {
  if (faulty("ignores-sigterm", std::to_string(pid))) {
    return Error{
        fmt::format("Process {} has not ended within 10 s of being told to. End it yourself, then try again.", pid)};
  }
  if (at_change) at_change("before kill");
  fs::remove_all(fmt::format("{}/proc/{}", root_, pid));
  if (at_change) at_change("after kill");
  return {};
}

void FakeKernel::reboot() {
  replace("/proc/sys/kernel/random/boot_id", "boot-2\n");
  for (const std::string& address : host_.list("/.fake/native").names) {
    replace("/sys/bus/pci/devices/" + address + "/driver_override", "(null)\n");
    set_driver(address, content("/.fake/native/" + address));
  }
}

std::string FakeKernel::state() const {
  std::string text;
  for (const std::string& address : host_.list("/sys/bus/pci/devices").names) {
    const std::string config = host_.read("/sys/bus/pci/devices/" + address + "/config", 4).text;
    text += fmt::format("{} {} {} {}\n", address, driver_of(address),
                        content("/sys/bus/pci/devices/" + address + "/driver_override"),
                        config == "\xff\xff\xff\xff" ? "lost" : "there");
  }
  for (const std::string& console : host_.list("/sys/class/vtconsole").names) {
    text += console + " " + content("/sys/class/vtconsole/" + console + "/bind") + "\n";
  }
  for (const std::string& pid : host_.list("/proc").names) {
    if (pid.find_first_not_of("0123456789") == std::string::npos) text += "process " + pid + "\n";
  }
  return text;
}

}  // namespace nm::attach
