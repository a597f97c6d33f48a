// The page's figures, each a piece of HTML with its pictures and what they show in words.
#pragma once

#include <string>

#include "bench/comparison.h"

namespace nm::bench::page {

// Who has which colour.
std::string legend(const Comparison& comparison);
// A row a figure: the ratio with its interval, the margin of equivalence shaded.
std::string relative_figure(const Comparison& comparison);
// A picture a series: bandwidth against size, and the like. Empty: no series was measured.
std::string curves_figure(const Comparison& comparison);
// A strip a figure: every unit of every arm.
std::string samples_figure(const Comparison& comparison);

}  // namespace nm::bench::page
