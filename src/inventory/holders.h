// Who has a GPU: processes by the files they have open, virtual machines by the QEMU that has the group, the kernel by
// its framebuffers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "inventory/inventory.h"
#include "inventory/reader.h"

namespace nm::inventory {

// What of a QEMU's command line matters here.
struct QemuLine {
  std::string name;  // of -name; empty: it has none
  std::vector<PciAddress> devices;
};
// `cmdline` as in /proc: arguments with a NUL behind each.
QemuLine parse_qemu_line(std::string_view cmdline);

Holder::Kind kind_of_process(std::string_view comm);

// Fills `holders` and `monitors` of all; `minors` as ask_nvidia_driver() found them.
void find_holders(Reader& reader, const std::vector<int>& minors, Inventory& inventory);

}  // namespace nm::inventory
