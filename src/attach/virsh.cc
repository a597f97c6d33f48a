#include "attach/virsh.h"

#include <fmt/format.h>

#include <algorithm>

#include "attach/xml_reader.h"
#include "base/number.h"
#include "inventory/reader.h"

namespace nm::attach {

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const char c = text[i];
    if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  return true;
}

// What virsh says on its standard error, without what each line begins with.
std::string complaint(const Finished& finished) {
  std::string all;
  for (std::string_view line : inventory::lines_of(finished.err)) {
    line = inventory::trimmed(line);
    if (line.starts_with("error: ")) line.remove_prefix(7);
    // The next line has the reason.
    if (line.empty() || line.starts_with("Failed to attach device") || line.starts_with("Failed to detach device")) {
      continue;
    }
    all += (all.empty() ? "" : " ") + inventory::clean(line, 300);
  }
  if (all.empty()) all = inventory::clean(finished.err, 300);
  if (finished.late) all = "it has not answered in time";
  return all.empty() ? fmt::format("virsh ended with status {}", finished.status) : all;
}

Result<Finished> Virsh::run(const std::vector<std::string>& arguments, Millis limit, const std::string& input) const {
  std::vector<std::string> argv = {"virsh", "-q", "-c", uri_};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return system_.run(argv, limit, input);
}

Result<Domain> Virsh::domain(const std::string& uuid, bool inactive) const {
  std::vector<std::string> arguments = {"dumpxml", uuid};
  if (inactive) arguments.push_back("--inactive");
  const auto finished = run(arguments);
  if (!finished) return finished.error();
  if (finished->status != 0) return Error{"libvirt does not describe that domain: " + complaint(*finished) + "."};
  return parse_domain(finished->out);
}

bool says_gone(const std::string& sentence) {
  return sentence.find("failed to get domain") != sentence.npos || sentence.find("Domain not found") != sentence.npos ||
         sentence.find("no domain with matching") != sentence.npos;
}

bool Domain::has(const PciAddress& address) const {
  return std::find(devices.begin(), devices.end(), address) != devices.end();
}

Result<Domain> parse_domain(std::string_view xml) {
  Domain domain;
  XmlReader reader(xml);
  bool pci = false;
  while (reader.next()) {
    const std::string& path = reader.path();
    if (reader.begins()) {
      if (path == "domain") domain.running = !reader.attribute("id").empty();
      if (path == "domain/os/type") domain.machine = reader.attribute("machine");
      if (path == "domain/devices/hostdev") pci = reader.attribute("type") == "pci";
      if (path != "domain/devices/hostdev/source/address" || !pci) continue;
      const auto part = [&](const char* name) {
        std::string_view digits = std::string_view();
        const std::string text = reader.attribute(name);
        digits = text;
        const bool hexadecimal = digits.starts_with("0x");
        if (hexadecimal) digits.remove_prefix(2);
        uint32_t value = 0;
        return take_number(&digits, &value, hexadecimal ? 16 : 10) && digits.empty() ? value : ~uint32_t{0};
      };
      const uint32_t bus = part("bus"), slot = part("slot"), function = part("function");
      if (bus > 0xff || slot > 0x1f || function > 7) continue;  // no address of a host's device
      const uint32_t number = part("domain");
      domain.devices.push_back({.domain = number == ~uint32_t{0} ? 0 : number,
                                .bus = static_cast<uint8_t>(bus),
                                .device = static_cast<uint8_t>(slot),
                                .function = static_cast<uint8_t>(function)});
    } else if (path == "domain/name") {
      domain.name = reader.text();
    } else if (path == "domain/uuid") {
      domain.uuid = reader.text();
    }
  }
  if (reader.broken() || domain.name.empty() || !is_uuid(domain.uuid)) {
    return Error{"libvirt describes a domain in a way that makes no sense here. Look at virsh dumpxml."};
  }
  return domain;
}

std::string hostdev_xml(const PciAddress& address) {
  return fmt::format(
      "<hostdev mode='subsystem' type='pci' managed='no'>\n"
      "  <driver name='vfio'/>\n"
      "  <source>\n"
      "    <address domain='{:#06x}' bus='{:#04x}' slot='{:#04x}' function='{:#x}'/>\n"
      "  </source>\n"
      "</hostdev>\n",
      address.domain, address.bus, address.device, address.function);
}

}  // namespace nm::attach
