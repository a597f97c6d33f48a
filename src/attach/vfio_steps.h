// The steps that take a PCI function from the host's drivers and keep it for guests, one class each.
//
// A function is given to vfio-pci by name (`driver_override`), never by its ids (`new_id`): ids match every card of the
// same kind. The name stays there until the function is released, so that no driver that is loaded meanwhile takes it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "attach/attachment.h"
#include "attach/step.h"
#include "inventory/inventory.h"

namespace nm::attach {

inline constexpr const char* kVfioDriver = "vfio-pci";

// Loads a module of the kernel. Its undo leaves it loaded: another user may have come to it.
std::unique_ptr<Step> load_module(const std::string& name);
// Gives the function to vfio-pci; undone, it has the driver and the override that it had before.
std::unique_ptr<Step> bind_to_vfio(const FunctionState& before);
// Resets the function, and looks whether it answers. What VFIO does when the last user leaves is not enough for every
// card, and says nothing of a card that did not come back.
std::unique_ptr<Step> reset_function(const PciAddress& address, bool insist = true);
// A unit of systemd; undone, it runs again.
std::unique_ptr<Step> stop_unit(const std::string& unit);
// Is not undone: nobody knows how it was started.
std::unique_ptr<Step> end_process(pid_t pid, uint64_t started, const std::string& name);
// The text console off its framebuffers; undone, on again. `console` is "vtcon1".
std::unique_ptr<Step> release_console(const std::string& console);
// Changes nothing: fails while any process has one of the functions open.
std::unique_ptr<Step> nobody_holds(const PciAddress& gpu);

// Made again from a journal; null: not one of these. Throws what JSON's library throws.
std::unique_ptr<Step> read_host_step(const std::string& kind, const Json& record);

// Configuration space that reads as all ones.
bool answers(const inventory::Host& host, const PciAddress& address);

}  // namespace nm::attach
