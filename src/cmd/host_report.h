// This host's own GPUs, as nearmetal gpus shows them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "inventory/inventory.h"

namespace nm::cmd {

nlohmann::ordered_json inventory_json(const inventory::Inventory& inventory);

// A row for each GPU.
std::vector<std::string> inventory_table(const inventory::Inventory& inventory, bool colour);
// A paragraph for each, with everything that is known.
std::vector<std::string> inventory_details(const inventory::Inventory& inventory, bool colour);
// What could not be seen or made sense of; sentences.
std::vector<std::string> inventory_notes(const inventory::Inventory& inventory);

// "16 GiB", "256 MiB", "128 B": sizes of BARs are powers of two.
std::string size_text(uint64_t bytes);

}  // namespace nm::cmd
