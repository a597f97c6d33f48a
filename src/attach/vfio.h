// Whether a GPU can be taken from the host, and by which steps: a pure decision on the inventory's snapshot. The unit
// is the card and its IOMMU group, because VFIO hands out groups: what shares a group goes along or must have no
// driver.
#pragma once

#include <string>
#include <vector>

#include "attach/attachment.h"
#include "attach/plan.h"
#include "inventory/inventory.h"

namespace nm::attach {

// What the user has agreed to.
struct Wish {
  bool companions = false;    // the card's other functions go along
  bool stop_holders = false;  // whoever has it open is stopped
  bool take_display = false;  // even where that is the host's display
};

struct HostPlan {
  Plan plan;
  std::vector<inventory::PciFunction> functions;  // that a guest gets, the GPU's first
  std::vector<FunctionState> before;              // of all that is touched
};

// The error is the first thing in the way, with what would clear it.
Result<HostPlan> plan_for_guests(const inventory::Host& host, const inventory::Inventory& inventory,
                                 const inventory::Gpu& gpu, const Wish& wish);

// The way back, from what an attachment has kept; `force` does not insist on a reset.
Result<Plan> plan_release(const inventory::Host& host, const Attachment& attachment, const StepReader& reader,
                          bool force);

// The GPU that "0", "65:00.0", "0000:65:00.0" or the beginning of a UUID names.
Result<const inventory::Gpu*> choose_gpu(const inventory::Host& host, const inventory::Inventory& inventory,
                                         const std::string& text);

}  // namespace nm::attach
