// The two ways in which a shape becomes a guest: QEMU's command line and libvirt's definition of a domain. Both say the
// same; what is text of others in them is escaped.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "guest/shape.h"

namespace nm::guest {

// Where the files of one run are.
struct RunPaths {
  std::string qmp;        // the socket that QEMU makes
  std::string variables;  // the guest's own copy of OVMF's; empty without OVMF
};

// argv, the program first.
std::vector<std::string> qemu_line(const GuestShape& shape, const std::string& program, const RunPaths& paths);

// The error: a name or path that XML cannot hold. `program`: QEMU's, for the <emulator>; empty: libvirt chooses.
Result<std::string> domain_xml(const GuestShape& shape, const std::string& program);

// Where things are on the guest's buses; the same in both renderings.
inline constexpr int kDiskSlot = 1, kNetSlot = 2, kFirstSlot = 4;
// The number of an expander's bus, for guest node `node` of `nodes`: the root complex keeps the first 64.
int expander_bus(size_t node, size_t nodes);
// Ports and, on the root complex, expanders, each with its slot.
struct Slotted {
  const RootPort* port;
  int slot;  // on its root bus
};
std::vector<Slotted> slotted(const GuestShape& shape);

// What QEMU calls a passed function.
std::string device_id(const RootPort& port, const PassedFunction& function);

// Commas, which end an option, doubled.
std::string option_text(std::string_view text);

}  // namespace nm::guest
