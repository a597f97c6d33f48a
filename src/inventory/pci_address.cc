#include "inventory/pci_address.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace nm::inventory {
namespace {

// From 1 to `most` hexadecimal digits and nothing else.
bool hex(std::string_view text, size_t most, uint32_t limit, uint32_t& out) {
  if (text.empty() || text.size() > most) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, 16);
  return error == std::errc() && end == text.data() + text.size() && out <= limit;
}

}  // namespace

std::string PciAddress::text() const { return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", domain, bus, device, function); }

std::optional<PciAddress> parse_pci_address(std::string_view text) {
  const size_t colons = static_cast<size_t>(std::count(text.begin(), text.end(), ':'));
  uint32_t domain = 0, bus = 0, device = 0, function = 0;
  if (colons == 2) {
    if (!hex(text.substr(0, text.find(':')), 8, ~0u, domain)) return std::nullopt;
    text.remove_prefix(text.find(':') + 1);
  } else if (colons != 1) {
    return std::nullopt;
  }
  const size_t colon = text.find(':'), dot = text.find('.');
  if (dot == std::string_view::npos || dot < colon) return std::nullopt;
  if (!hex(text.substr(0, colon), 2, 0xff, bus) || !hex(text.substr(colon + 1, dot - colon - 1), 2, 0x1f, device) ||
      !hex(text.substr(dot + 1), 1, 7, function)) {
    return std::nullopt;
  }
  return PciAddress{domain, static_cast<uint8_t>(bus), static_cast<uint8_t>(device), static_cast<uint8_t>(function)};
}

}  // namespace nm::inventory
