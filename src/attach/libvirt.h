// Guests of libvirt, by `virsh`: a program, because our own must run where there is no libvirt, and because its command
// line has not changed in ten years while the library's daemons and sockets have (decision 18).
//
// The device's binding to vfio-pci is ours, journaled, so libvirt is told managed='no'. Each function of a card becomes
// a device of its own in the guest: libvirt can plug several functions into one slot, and never takes them out again.
#pragma once

#include <string>

#include "attach/backend.h"

namespace nm::attach {

class LibvirtBackend : public Backend {
 public:
  // `uri`: of libvirt's daemon, "qemu:///system".
  LibvirtBackend(System& system, std::string uri) : system_(system), uri_(std::move(uri)) {}

  std::string_view name() const override { return "libvirt"; }
  Result<std::vector<Guest>> guests() override;
  Result<Plan> plan(const Handover& handover, const Guest& guest) override;
  Result<std::unique_ptr<Step>> step(std::string_view kind, const Json& record) override;
  Result<bool> has(const std::string& guest_id, const std::vector<PciAddress>& functions) override;

 private:
  System& system_;
  std::string uri_;
};

}  // namespace nm::attach
