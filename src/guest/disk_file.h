// What a disk's file is: its format by its first bytes, and whether the page cache can be left out.
#pragma once

#include <string>

#include "base/result.h"
#include "guest/shape.h"

namespace nm::guest {

// The error: it is not there, may not be used, or is of a kind that QEMU should not be given as it is.
Result<Disk> look_at_disk(const std::string& path);

}  // namespace nm::guest
