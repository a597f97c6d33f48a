// Where a PCI function is: domain:bus:device.function, as the kernel writes it.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nm::inventory {

struct PciAddress {
  uint32_t domain = 0;  // 16 bits of hardware; more where the kernel made one up (VMD)
  uint8_t bus = 0, device = 0, function = 0;

  auto operator<=>(const PciAddress&) const = default;
  bool same_slot(const PciAddress& other) const {
    return domain == other.domain && bus == other.bus && device == other.device;
  }
  std::string text() const;  // "0000:65:00.0"
};

// "0000:65:00.0", "65:00.0" (domain 0), "00000000:65:00.0" (as NVIDIA's tools write it). The whole text, nothing else.
std::optional<PciAddress> parse_pci_address(std::string_view text);

}  // namespace nm::inventory
