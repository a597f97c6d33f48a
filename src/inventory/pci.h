// PCI functions out of sysfs.
#pragma once

#include <map>

#include "inventory/inventory.h"
#include "inventory/reader.h"

namespace nm::inventory {

using Functions = std::map<PciAddress, PciFunction>;

std::string device_directory(const PciAddress& address);  // "/sys/bus/pci/devices/0000:65:00.0"

// All of the host's.
Functions read_functions(Reader& reader);

// The lines of a `resource` file: six BARs and the ROM. Sentences in `trouble` end with what is wrong.
std::vector<Bar> parse_resources(std::string_view text, uint64_t& rom_size, std::vector<std::string>& trouble);
PcieLink parse_link(std::string_view speed, std::string_view width);

// What a GPU has that other functions do not, from its own directory and those of the bridges above.
void read_details(Reader& reader, const Functions& functions, Gpu& gpu);

}  // namespace nm::inventory
