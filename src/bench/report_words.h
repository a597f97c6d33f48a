// How numbers and findings of a comparison are worded, for the terminal and for the page alike.
#pragma once

#include <string>
#include <vector>

#include "bench/comparison.h"

namespace nm::bench {

std::string ratio_text(double ratio);                      // "0.998"; "12.3"
std::string interval_text(const Interval& interval);       // "0.997 … 1.001"; "unknown"
std::string overhead_text(double overhead);                // of 0.0157: "1.57 %"; "none" where nothing was slower
std::string value_text(double value);                      // three to four digits: "12.3", "0.00123", "1,234"
std::string size_text(double x, const std::string& unit);  // "1 MiB" of 1048576 B
std::string level_text(const Summary& summary);            // "level 1", "apps"
std::string part_text(const Summary& summary);             // "SHOC level 1, PCIe only"

// "native and tcp on NVIDIA H200, SHOC and path, size gpu, CUDA, 20 pairs in random ABBA order; 1 % margin, 90 %
// intervals"
std::string headline(const Comparison& comparison);
// What the A/A run says, in a sentence.
std::string noise_sentence(const Comparison& comparison);
// What was asked but not measured, failed, dropped, in sentences; empty: nothing.
std::vector<std::string> trouble_sentences(const Comparison& comparison);
// Metrics that are worth naming, worst first: a verdict OVERHEAD or FASTER, or a ratio off by 0.5 % and more (as the
// papers name their outliers). Of a curve only the point that is furthest off.
std::vector<const MetricComparison*> outstanding(const TargetComparison& target);

}  // namespace nm::bench
