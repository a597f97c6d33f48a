// The page's tables.
#pragma once

#include <string>
#include <vector>

#include "bench/comparison.h"
#include "bench/results.h"

namespace nm::bench::page {

// Levels × targets, and the rows of 2014 beside them.
std::string levels_table(const Comparison& comparison);
// Every figure with everything that is known of its ratio.
std::string metrics_table(const Comparison& comparison);
// The machines and the devices: what was found, and what changed between before and after.
std::string machines(const Comparison& comparison, const std::vector<ResultFile>& files);

}  // namespace nm::bench::page
