// The machine that measures, as far as it can be seen from here: what may explain a difference between two results,
// read from /proc, /sys and the processor, never changed. The GPU's own state is told by the benchmark program (its
// line `device`), because only that sees the GPU of a target.
#pragma once

#include <string>

#include "bench/results.h"

namespace nm::bench {

// Has at least "host" (its name), "boot" (an id of this boot) and "kernel"; whatever else cannot be read is left out.
// `when`: "before" or "after". `root` is where /proc, /sys and /run are looked for: tests bring a machine of their own.
Json fingerprint(const std::string& when, const std::string& root = "");

}  // namespace nm::bench
