// The machine that measures, as far as it can be seen from here.
#pragma once

#include "bench/results.h"

namespace nm::bench {

// Has at least "host" (its name), "boot" (an id of this boot) and "kernel". `when`: "before" or "after".
Json fingerprint(const std::string& when);

}  // namespace nm::bench
