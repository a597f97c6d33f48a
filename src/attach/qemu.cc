#include "attach/qemu.h"

#include <fmt/format.h>

#include <map>
#include <optional>

#include "base/number.h"
#include "inventory/holders.h"
#include "inventory/reader.h"

namespace nm::attach {
namespace {

// "unix:/run/a,,b.sock,server=on,wait=off": the parts, of which a doubled comma is one in the text.
std::vector<std::string> parts_of(std::string_view value) {
  std::vector<std::string> parts(1);
  for (size_t i = 0; i < value.size(); ++i) {
    if (value[i] != ',') {
      parts.back() += value[i];
    } else if (i + 1 < value.size() && value[i + 1] == ',') {
      parts.back() += value[++i];
    } else {
      parts.emplace_back();
    }
  }
  return parts;
}

std::string value_of(const std::vector<std::string>& parts, std::string_view key) {
  for (const std::string& part : parts) {
    if (part.size() > key.size() && part.starts_with(key) && part[key.size()] == '=')
      return part.substr(key.size() + 1);
  }
  return "";
}

}  // namespace

std::vector<std::string> qmp_sockets(std::string_view cmdline) {
  std::map<std::string, std::string> chardevs;  // path by id
  std::vector<std::string> sockets, monitors;
  std::string_view before;
  while (!cmdline.empty()) {
    const size_t end = cmdline.find('\0');
    const std::string_view argument = cmdline.substr(0, end);
    std::string_view option = before;
    if (option.starts_with("--")) option.remove_prefix(1);
    if (option == "-qmp" || option == "-qmp-pretty") {
      const auto parts = parts_of(argument);
      if (parts[0].starts_with("unix:")) sockets.push_back(parts[0].substr(5));
    } else if (option == "-chardev") {
      const auto parts = parts_of(argument);
      const std::string path = value_of(parts, "path");
      if (parts[0] == "socket" && !path.empty()) chardevs[value_of(parts, "id")] = path;
    } else if (option == "-mon") {
      const auto parts = parts_of(argument);
      const std::string chardev = value_of(parts, "chardev");
      if (value_of(parts, "mode") == "control") {
        monitors.push_back(chardev.empty() && parts[0].find('=') == std::string::npos ? parts[0] : chardev);
      }
    }
    before = argument;
    if (end == std::string_view::npos) break;
    cmdline.remove_prefix(end + 1);
  }
  for (const std::string& monitor : monitors) {
    const auto found = chardevs.find(monitor);
    if (found != chardevs.end()) sockets.push_back(found->second);
  }
  return sockets;
}

std::vector<QemuProcess> find_qemus(const inventory::Host& host) {
  std::vector<QemuProcess> all;
  for (const std::string& entry : host.list("/proc").names) {
    std::string_view digits = entry;
    pid_t pid = 0;
    if (!take_number(&digits, &pid) || !digits.empty() || pid <= 0) continue;
    const std::string comm = inventory::clean(host.read("/proc/" + entry + "/comm", 64).text);
    if (!comm.starts_with("qemu") && comm != "kvm") continue;
    const std::string line = host.read("/proc/" + entry + "/cmdline", 256 << 10).text;
    QemuProcess process{.pid = pid, .name = inventory::parse_qemu_line(line).name, .sockets = qmp_sockets(line)};
    if (process.name.empty()) process.name = fmt::format("pid-{}", pid);
    for (std::string& path : process.sockets) {
      if (!path.empty() && path[0] == '/') continue;
      const inventory::Reading directory = host.link("/proc/" + entry + "/cwd");
      path = directory ? directory.text + "/" + path : path;
    }
    all.push_back(std::move(process));
  }
  return all;
}

}  // namespace nm::attach
