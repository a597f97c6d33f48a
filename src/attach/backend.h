// A hypervisor: where guests are, and how a device that VFIO has gets into one. One file each; the list of them stands
// in cmd/attach.cc.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attach/plan.h"
#include "attach/step.h"
#include "inventory/inventory.h"

namespace nm::attach {

struct Guest {
  std::string backend;       // name() of it
  std::string name;          // as its user calls it
  std::string id;            // as the backend finds it again: a socket's path, a domain's UUID
  pid_t pid = 0;             // of the process that runs it; 0: it does not run
  std::string text() const;  // "VM train1 (pid 99)"
};

// What is to be put into a guest: functions of one card, each on a VFIO driver by the time the guest's steps are done.
struct Handover {
  const inventory::Gpu& gpu;
  std::vector<inventory::PciFunction> functions;  // by address; the GPU among them
  bool persistent = false;                        // into the guest's definition too
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;  // "qmp"
  // Those that are there. None where the hypervisor is not installed; the error: it is, and does not answer.
  virtual Result<std::vector<Guest>> guests() = 0;
  // A guest that guests() may not list: "/run/vm/train1.qmp". Nothing: that is no name of this backend's making.
  virtual Result<std::optional<Guest>> named(const std::string& name) {
    (void)name;
    return std::optional<Guest>();
  }
  // The steps that put it in, in order; their undo takes it out and waits until it is out. Asks the guest what it has
  // room for and changes nothing. The error says why it cannot be, and what would help.
  virtual Result<Plan> plan(const Handover& handover, const Guest& guest) = 0;
  // Makes a step of this backend again; null: no kind of step of this backend.
  virtual Result<std::unique_ptr<Step>> step(std::string_view kind, const Json& record) = 0;
  // Whether a guest of that id still runs with these functions in it: for what is told of attachments whose guest
  // ended.
  virtual Result<bool> has(const std::string& guest_id, const std::vector<PciAddress>& functions) = 0;
};

// The guest of that name in any of them. The error names those that there are, or the two that share the name.
Result<Guest> find_guest(const std::vector<Backend*>& backends, const std::string& name);

}  // namespace nm::attach
