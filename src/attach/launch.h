// Guests that `nearmetal vm run` starts with their GPUs in them. QEMU is not running yet when the GPUs are taken for
// it, so there is nothing to plug into: what this backend adds to the journal is how they are taken out again while the
// guest runs (`nearmetal detach`), and that they are nobody's any more when it has ended. As long as the guest runs it
// is found by its QMP socket as any other QEMU is, and more can be attached to it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "attach/backend.h"

namespace nm::attach {

class LaunchBackend : public Backend {
 public:
  // Whether the guest with this socket has its `nearmetal vm run`.
  using Runs = std::function<bool(const std::string& socket)>;
  explicit LaunchBackend(Runs runs) : runs_(std::move(runs)) {}

  // The guest that this process is about to start, and what its devices will be called. Only this process sees it.
  void expect(Guest guest, std::map<PciAddress, std::string> devices);
  // It has ended, though its lock is still held.
  void ended() { over_ = true; }

  std::string_view name() const override { return "vm"; }
  Result<std::vector<Guest>> guests() override;
  Result<Plan> plan(const Handover& handover, const Guest& guest) override;
  Result<std::unique_ptr<Step>> step(std::string_view kind, const Json& record) override;
  Result<bool> has(const std::string& guest_id, const std::vector<PciAddress>& functions) override;

 private:
  Runs runs_;
  std::optional<Guest> expected_;
  std::map<PciAddress, std::string> devices_;
  bool over_ = false;
};

}  // namespace nm::attach
