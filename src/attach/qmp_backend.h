// KVM and QEMU, by the machine's own monitor: `qemu-system-x86_64 -name train1 -qmp
// unix:/run/train1.qmp,server=on,wait=off`.
//
// A device comes into a running machine at a PCIe root port that is empty. Taking it out is a request: QEMU presses the
// slot's attention button, and the guest's kernel answers when it pleases. Nothing of the host is touched before QEMU
// has said DEVICE_DELETED and its list of devices agrees. Of a card with several functions, the others come first and
// function 0 last, with which the guest sees all of them; with function 0 they go.
#pragma once

#include "attach/backend.h"

namespace nm::attach {

class QmpBackend : public Backend {
 public:
  explicit QmpBackend(const inventory::Host& host) : host_(host) {}

  std::string_view name() const override { return "qmp"; }
  Result<std::vector<Guest>> guests() override;
  // "/run/train1.qmp", or the number of a QEMU's process.
  Result<std::optional<Guest>> named(const std::string& name) override;
  Result<Plan> plan(const Handover& handover, const Guest& guest) override;
  Result<std::unique_ptr<Step>> step(std::string_view kind, const Json& record) override;
  Result<bool> has(const std::string& guest_id, const std::vector<PciAddress>& functions) override;

 private:
  const inventory::Host& host_;
};

}  // namespace nm::attach
