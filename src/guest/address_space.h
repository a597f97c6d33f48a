// Where things lie in a guest's physical addresses. A GPU's memory appears as BARs of up to 256 GiB, and three parties
// must agree on where: the firmware, which hands addresses out; QEMU, which says in ACPI what may be handed out; and
// the guest's kernel, which believes ACPI. Left alone they reserve 32 GiB, and a big GPU is then not there at all, or
// not after it was plugged in. So it is computed here, and told to each of them:
//
//   0 ─────── 2 or 2.75 GiB ── 4 GiB ──────────── ram_end ──┬── window_base ──────────── end ─── 2^bits
//   │ memory │ BARs below 4 GiB │ the rest of the memory     │ aligned as OVMF does │ BARs │
//
//   told to QEMU: hole64_size (from ram_end, rounded to 1 GiB, to end); to OVMF: window_size (it aligns by itself).
//
// On AMD, addresses from 1012 GiB to 1 TiB are HyperTransport's, and an IOMMU does not let a device use them. When a
// guest would reach them, QEMU puts all memory above 4 GiB above 1 TiB instead.
#pragma once

#include <cstdint>
#include <vector>

#include "inventory/inventory.h"

namespace nm::guest {

// What a root port must be able to forward to what is behind it.
struct PortWindow {
  uint64_t prefetchable = 0;  // 64-bit; a multiple of the largest BAR in it
  uint64_t low = 0;           // below 4 GiB
  bool io = false;

  bool operator==(const PortWindow&) const = default;
};

// Of all functions behind one port. A bridge has two windows: one for prefetchable memory anywhere, one for the rest,
// which must lie below 4 GiB even for 64-bit BARs.
PortWindow window_for(const std::vector<inventory::Bar>& bars);

struct AddressSpace {
  uint64_t ram_end = 0;
  uint64_t window_base = 0, window_size = 0;
  uint64_t hole64_size = 0;

  uint64_t end() const { return window_base + window_size; }
  int bits() const;  // that the end needs
};

// `memory` bytes of RAM and a window of `window` bytes above it.
AddressSpace lay_out(uint64_t memory, uint64_t window, bool amd);

// The window for these ports, by root bus: their sum with room to plug, a power of two; `exact`: no more than the sum,
// in GiB.
uint64_t window_of(const std::vector<std::vector<PortWindow>>& roots, bool exact);

// What is left for BARs below 4 GiB, between QEMU's configuration space and the interrupt controller.
inline constexpr uint64_t kLowRoom = uint64_t{900} << 20;
inline constexpr uint64_t kMostOvmfWindow = uint64_t{16} << 40;  // it ignores more

}  // namespace nm::guest
