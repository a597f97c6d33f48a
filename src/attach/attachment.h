// What is kept about GPUs that were handed over, as values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "attach/step.h"
#include "inventory/pci_address.h"

namespace nm::attach {

using inventory::PciAddress;

// A PCI function as it was before anybody touched it.
struct FunctionState {
  PciAddress address;
  std::string driver;                         // empty: none
  std::string override;                       // driver_override; empty: none
  std::optional<uint32_t> virtual_functions;  // sriov_numvfs, where there is such a file
  bool operator==(const FunctionState&) const = default;
};
FunctionState read_function_state(const inventory::Host& host, const PciAddress& address);

// A GPU that is kept from the host's drivers: in a guest, or waiting for the next one.
struct Attachment {
  PciAddress gpu;
  std::vector<PciAddress> functions;  // all that went along, the GPU first
  std::string backend, guest;         // empty: it is in no guest
  std::string guest_id;               // by which the backend finds the guest again
  bool persistent = false;            // the guest's definition names it: it is there again after a reboot
  std::vector<FunctionState> before;  // of all functions involved
  Json host_steps = Json::array();    // what was done, in order; undone last to first
  Json guest_steps = Json::array();
  std::string boot;   // boot_id() of when it was done
  int64_t since = 0;  // seconds since 1970
};

enum class Verb { attach, move, detach, release };
std::string_view word(Verb verb);

// How far a step of an operation is. Written before it is true, but for `done` and `undone`.
enum class Phase { waiting, doing, done, undoing, undone };
std::string_view word(Phase phase);

// An entry of the journal: something that is being done, or was when its process died.
struct Operation {
  int64_t id = 0;  // given by the store
  Verb verb = Verb::attach;
  PciAddress gpu;
  std::vector<std::string> locks;           // names, see lock.h
  std::vector<FunctionState> functions;     // as they were
  std::optional<Attachment> before, after;  // what the store is to say of this GPU if undone; if finished
  Json steps = Json::array();
  std::vector<Phase> phases;
  pid_t pid = 0;
  uint64_t pid_started = 0;
  std::string boot;
  std::vector<StuckWriter> stuck;
  std::string trouble;  // why it could be neither finished nor undone; empty: nobody has tried
};

// As the store keeps them. The readers throw what JSON's library throws, or std::runtime_error: the store catches both.
Json to_json(const FunctionState& state);
FunctionState function_state_of(const Json& json);
Json to_json(const Attachment& attachment);
Attachment attachment_of(const Json& json);
Json to_json(const Operation& operation);  // but for its number and its phases
Operation operation_of(const Json& json);
Phase phase_of(const std::string& text);

}  // namespace nm::attach
