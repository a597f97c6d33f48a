// Two commands must not work on the same thing at once. What is locked has a name: an IOMMU group ("group-14"), a guest
// ("guest-qmp-train1"). A lock is flock(2) on a file of that name in the state directory, so the kernel takes it away
// from whoever dies. All that an operation needs is taken in one go, in the order of the names, so that no two commands
// wait for each other; and waiting has an end.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"

namespace nm::attach {

class Locks {
 public:
  // `doing` is told to others who want the same: "attach of 0000:65:00.0". `waiting` is called once, with a sentence,
  // if it has to wait; `stopped` while it does. The error names who has it.
  static Result<Locks> take(const std::string& directory, std::vector<std::string> names, const std::string& doing,
                            Millis limit, const std::function<void(const std::string&)>& waiting = {},
                            const std::function<bool()>& stopped = {});

 private:
  std::vector<Fd> files_;
};

std::string group_lock(int iommu_group);
std::string guest_lock(const std::string& backend, const std::string& id);

}  // namespace nm::attach
