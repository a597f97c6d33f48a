// Who the devices are: libcuda.so.1 and libnvidia-ml.so.1 of the software GPU must name them alike.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nm::softgpu {

struct PciPlace {
  int domain = 0, bus = 0, device = 0;
};
// "0000:5f:00.0" or "5f:00.0", in hexadecimal; the function need not be there after a domain.
bool parse_pci_place(std::string_view text, PciPlace* out);

struct Identity {
  int index = 0;                   // before CUDA_VISIBLE_DEVICES
  std::array<uint8_t, 16> uuid{};  // the same on every start on this machine
  uint64_t memory_bytes = 0;
  int pci_domain = 0, pci_bus = 0, pci_device = 0;

  bool is_at(const PciPlace& p) const { return p.domain == pci_domain && p.bus == pci_bus && p.device == pci_device; }
  std::string pci_id() const;     // 0000:5f:00.0
  std::string uuid_text() const;  // GPU-xxxxxxxx-xxxx-…
};

inline constexpr const char* kDeviceName = "nearmetal software GPU";
inline constexpr int kDriverVersion = 13000;
inline constexpr int kComputeMajor = 9;
inline constexpr int kComputeMinor = 0;

// Every device of this machine: NEARMETAL_SOFTGPU_DEVICES of them (1), each with NEARMETAL_SOFTGPU_MEMORY bytes
// ("512M", "2G"; 4 GiB, or half of the machine's memory where that is less).
std::vector<Identity> all_devices();
// Those of `all` that CUDA_VISIBLE_DEVICES leaves, in its order: indices or UUID prefixes, up to the first that names
// no device.
std::vector<Identity> visible_devices(const std::vector<Identity>& all);

}  // namespace nm::softgpu
