// What may be done with a GPU, judged from what was read. Pure.
#pragma once

#include "inventory/inventory.h"

namespace nm::inventory {

bool is_vfio_driver(const std::string& driver);
// "snd_hda_intel" and its like: "0000:01:00.1 (audio, snd_hda_intel)".
std::string text_of(const PciFunction& function);

// Fills state, attached_to and readiness; all else has been read.
void judge(const Inventory& inventory, Gpu& gpu);

}  // namespace nm::inventory
