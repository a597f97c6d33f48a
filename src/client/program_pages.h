// Which pages of the program's own memory may become memory that the worker shares (docs/decisions/0022).
#pragma once

#include <cstdint>
#include <optional>

#include "base/fd.h"
#include "client/moved_pages.h"

namespace nm::client {

// The pages of [address, address + size), if they may be moved: private memory of the program's, and no byte in them of
// anything but what was named.
std::optional<Pages> movable_pages(uint64_t address, uint64_t size);

// The file behind memory that the program shares with others already, so that nothing need be moved.
struct SharedFile {
  Fd fd;
  uint64_t offset;
};
std::optional<SharedFile> shared_file(const Pages& pages);

}  // namespace nm::client
