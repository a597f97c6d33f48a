// libvirt's own command, and what it prints.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "attach/system.h"
#include "base/result.h"
#include "inventory/pci_address.h"

namespace nm::attach {

using inventory::PciAddress;

// A domain as its definition tells; of a running one also what was plugged in since.
struct Domain {
  std::string name, uuid;
  bool running = false;
  std::string machine;              // "pc-q35-7.2"
  std::vector<PciAddress> devices;  // of the host that it has

  bool has(const PciAddress& address) const;
};
// The error says what does not make sense.
Result<Domain> parse_domain(std::string_view xml);

class Virsh {
 public:
  // `uri`: of libvirt's daemon, "qemu:///system".
  Virsh(System& system, std::string uri) : system_(system), uri_(std::move(uri)) {}

  Result<Finished> run(const std::vector<std::string>& arguments, Millis limit = Millis(30'000),
                       const std::string& input = "") const;
  // As it runs, or `inactive`: as it will be when it is started anew.
  Result<Domain> domain(const std::string& uuid, bool inactive) const;

 private:
  System& system_;
  std::string uri_;
};

// What it says on its standard error, without what each line begins with. No full stop.
std::string complaint(const Finished& finished);
// Of libvirt's sentences the one that says that there is no such domain any more.
bool says_gone(const std::string& sentence);
// <hostdev> for attach-device and detach-device.
std::string hostdev_xml(const PciAddress& address);
bool is_uuid(std::string_view text);

}  // namespace nm::attach
