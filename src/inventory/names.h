// What a device is called, and which drivers know it: from files that a distribution installs, if it does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "inventory/inventory.h"
#include "inventory/reader.h"

namespace nm::inventory {

struct PciName {
  std::string vendor, device;  // empty: not known
};

// In the text of a pci.ids: "10de  NVIDIA Corporation", below it "\t2330  GH100 [H100 SXM5 80GB]".
PciName find_pci_name(std::string_view pci_ids, uint16_t vendor, uint16_t device);

// Fills vendor_name and model of all; a device that no file knows is called by its ids.
void name_gpus(Reader& reader, std::vector<Gpu>& gpus);

// Modules whose alias matches: "alias pci:v000010DEd*sv*sd*bc03sc00i00* nouveau".
std::vector<std::string> drivers_for(std::string_view modules_alias, std::string_view modalias);
void find_drivers(Reader& reader, std::vector<Gpu>& gpus);

// What NVIDIA's driver says in /proc/driver/nvidia about the GPUs it has: model, UUID, MIG. Returns the numbers of
// their /dev/nvidiaN by index into `gpus`; -1: not bound to it.
std::vector<int> ask_nvidia_driver(Reader& reader, std::vector<Gpu>& gpus);

}  // namespace nm::inventory
