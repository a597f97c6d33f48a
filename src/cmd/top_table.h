// `nearmetal top` as text.
#pragma once

#include <string>
#include <vector>

#include "cmd/top_rows.h"

namespace nm::cmd {

// A headline, a line per GPU, an empty one, and the sessions under their headings. No line is longer than `width`:
// columns go, the least telling first. 0: as long as they are.
std::vector<std::string> top_lines(const TopView& view, size_t width);

// All of it, totals and rates, for programs.
std::string top_json(const TopView& view);

}  // namespace nm::cmd
