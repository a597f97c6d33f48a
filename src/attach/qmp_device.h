// The step that puts a PCI function into a QEMU, and takes it out again.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "attach/attachment.h"
#include "attach/qmp.h"
#include "attach/step.h"

namespace nm::attach {

struct QmpDevice {
  std::string socket;
  std::string guest;           // its name, for sentences
  pid_t pid = 0;               // of the QEMU; 0: not known
  uint64_t pid_started = 0;    // 0: not known
  PciAddress function;         // of the host
  std::string bus;             // id of the root port
  int number = 0;              // function in the guest
  bool multifunction = false;  // of function 0: there are others
};

std::unique_ptr<Step> add_qmp_device(QmpDevice device);
std::unique_ptr<Step> read_qmp_device(const Json& record);

// What the device is called in the machine: "nearmetal-0000-65-00.0".
std::string qmp_device_id(const PciAddress& function);
// The ids of all devices that a machine has by id, with their types: {"rp1": "pcie-root-port"}.
Result<std::map<std::string, std::string>> qmp_devices(Qmp& qmp, Millis limit);

}  // namespace nm::attach
