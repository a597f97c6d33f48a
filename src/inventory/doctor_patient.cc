// The facts that several checks ask for, and how things are changed on this distribution.
#include <fmt/format.h>

#include "base/number.h"
#include "inventory/doctor.h"

namespace nm::inventory {
namespace {

constexpr size_t kMostModules = 16 << 20;

std::string_view value_of(std::string_view line) {
  const size_t colon = line.find(':');
  return colon == std::string_view::npos ? "" : trimmed(line.substr(colon + 1));
}

Family family_of(std::string_view os_release) {
  std::string ids = " ";
  for (const std::string_view line : lines_of(os_release)) {
    if (!line.starts_with("ID=") && !line.starts_with("ID_LIKE=")) continue;
    for (const char c : line.substr(line.find('=') + 1)) ids += c == '"' || c == '\'' ? ' ' : c;
    ids += ' ';
  }
  const auto is = [&](std::string_view id) { return ids.find(fmt::format(" {} ", id)) != std::string::npos; };
  if (is("debian") || is("ubuntu")) return Family::debian;
  if (is("fedora") || is("rhel") || is("centos")) return Family::redhat;
  if (is("suse") || is("opensuse")) return Family::suse;
  if (is("arch")) return Family::arch;
  return Family::other;
}

std::string joined(const std::vector<std::string>& words) {
  std::string all;
  for (const std::string& word : words) all += (all.empty() ? "" : " ") + word;
  return all;
}

// `line` with those words that it lacks.
std::string with_words(std::string_view line, const std::vector<std::string>& words) {
  std::string all(trimmed(line));
  for (const std::string& word : words) {
    if ((" " + all + " ").find(" " + word + " ") == std::string::npos) all += (all.empty() ? "" : " ") + word;
  }
  return all;
}

}  // namespace

Patient::Patient(const Host& host, const Inventory& inventory) : host(host), inventory(inventory), reader(host) {
  const std::string cpu = reader.raw("/proc/cpuinfo", 64 << 10).value_or("");
  for (const std::string_view line : lines_of(cpu)) {
    if (line.starts_with("vendor_id")) {
      const std::string_view vendor = value_of(line);
      processor = vendor == "GenuineIntel"                               ? Processor::intel
                  : vendor == "AuthenticAMD" || vendor == "HygonGenuine" ? Processor::amd
                                                                         : Processor::other;
    } else if (line.starts_with("CPU implementer")) {
      processor = Processor::arm;
    } else if (line.starts_with("flags") && cpu_flags.empty()) {
      for (const std::string_view flag : words_of(value_of(line))) cpu_flags.emplace(flag);
    } else if (line.starts_with("address sizes")) {
      physical_bits = number_or(value_of(line), 0);
    }
  }
  const std::string line = reader.raw("/proc/cmdline", 64 << 10).value_or("");
  for (const std::string_view word : words_of(line)) command_line_.emplace(word);
  family = family_of(reader.raw("/etc/os-release", 64 << 10).value_or(""));
  const std::string release = reader.text("/proc/sys/kernel/osrelease").value_or("");
  if (!release.empty() && release.find('/') == std::string::npos) {
    builtin_ = reader.raw("/lib/modules/" + release + "/modules.builtin", kMostModules).value_or("");
    available_ = reader.raw("/lib/modules/" + release + "/modules.dep", kMostModules).value_or("");
  }
}

bool Patient::parameter(std::string_view word) const { return command_line_.contains(std::string(word)); }

std::vector<std::string> Patient::parameters(std::string_view prefix) const {
  std::vector<std::string> found;
  for (const std::string& word : command_line_) {
    if (word.starts_with(prefix)) found.push_back(clean(word));
  }
  return found;
}

namespace {

// Files have "vfio-pci.ko" or "vfio_pci.ko" for one module.
bool lists_module(std::string_view list, std::string name) {
  for (int spelling = 0; spelling < 2; ++spelling) {
    if (list.find("/" + name + ".ko") != std::string_view::npos) return true;
    for (char& c : name) c = c == '_' ? '-' : c;
  }
  return false;
}

}  // namespace

bool Patient::module_loaded(const std::string& name) const {
  return host.exists("/sys/module/" + name) || lists_module(builtin_, name);
}

bool Patient::module_exists(const std::string& name) const {
  return module_loaded(name) || lists_module(available_, name);
}

std::string Patient::find_program(const std::string& name) const {
  const std::string all = host.self().path;
  for (size_t begin = 0; begin <= all.size();) {
    const size_t end = std::min(all.find(':', begin), all.size());
    const std::string directory = all.substr(begin, end - begin);
    if (directory.starts_with('/') && host.exists(directory + "/" + name)) return directory + "/" + name;
    begin = end + 1;
  }
  // Where the administrator's programs are, though a user's PATH does not lead there.
  for (const char* directory : {"/usr/sbin/", "/sbin/", "/usr/libexec/"}) {
    if (host.exists(directory + name)) return directory + name;
  }
  return "";
}

std::vector<Fix> Patient::add_parameters(const std::vector<std::string>& words) {
  if (const auto line = reader.raw("/etc/kernel/cmdline", 16 << 10)) {
    const bool proxmox = !find_program("proxmox-boot-tool").empty();
    return {{.file = "/etc/kernel/cmdline", .line = with_words(*line, words)},
            {.command = proxmox ? "proxmox-boot-tool refresh && reboot"
                                : "kernel-install add \"$(uname -r)\" \"/boot/vmlinuz-$(uname -r)\" && reboot"}};
  }
  if (family == Family::redhat) {
    return {{.command = "grubby --update-kernel=ALL --args=\"" + joined(words) + "\" && reboot"}};
  }
  if (const auto grub = reader.raw("/etc/default/grub", 64 << 10)) {
    constexpr std::string_view kKey = "GRUB_CMDLINE_LINUX_DEFAULT=";
    std::string_view value;
    for (std::string_view line : lines_of(*grub)) {
      if (line.starts_with(kKey)) value = trimmed(line.substr(kKey.size()));
    }
    if (value.size() >= 2 && (value[0] == '"' || value[0] == '\'') && value.back() == value[0]) {
      value = value.substr(1, value.size() - 2);
    }
    return {{.file = "/etc/default/grub", .line = clean(fmt::format("{}\"{}\"", kKey, with_words(value, words)), 2000)},
            {.command = family == Family::debian ? "update-grub && reboot"
                        : family == Family::suse ? "grub2-mkconfig -o /boot/grub2/grub.cfg && reboot"
                                                 : "grub-mkconfig -o /boot/grub/grub.cfg && reboot"}};
  }
  return {{.advice = "Add " + joined(words) + " to the kernel's command line in your boot loader, then reboot."}};
}

std::string Patient::install_command(const std::string& debian, const std::string& redhat) const {
  switch (family) {
    case Family::debian:
      return "apt install " + debian;
    case Family::redhat:
      return "dnf install " + redhat;
    default:
      return "";
  }
}

std::string Patient::initramfs_command() const {
  switch (family) {
    case Family::redhat:
    case Family::suse:
      return "dracut -f";
    case Family::arch:
      return "mkinitcpio -P";
    default:
      return "update-initramfs -u";
  }
}

}  // namespace nm::inventory
