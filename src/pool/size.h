// How much of a GPU: memory in MiB, compute in thousandths, time in milliseconds. All whole numbers, so that what is
// granted adds up exactly and two hosts never disagree by a rounding.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nm::pool {

using Mib = int64_t;
using Duration = std::chrono::milliseconds;
using Time = std::chrono::sys_time<Duration>;  // always an argument here: src/pool reads no clock
inline constexpr Time kNever = Time::max();

inline constexpr int kWhole = 1000;                                  // thousandths
inline constexpr Mib kMostMemory = int64_t{1} << 30;                 // a pebibyte: nobody means more
inline constexpr Duration kLongest{int64_t{3650} * 24 * 3'600'000};  // ten years

// What of a GPU's memory is wished: so many MiB, or a part of whatever the GPU has. Neither: not said.
struct Memory {
  Mib mib = 0;
  int thousandths = 0;

  bool said() const { return mib != 0 || thousandths != 0; }
  // On a GPU with so much. A part is rounded down, so that two halves fit.
  Mib on(Mib device) const { return thousandths != 0 ? device * thousandths / kWhole : mib; }
  bool operator==(const Memory&) const = default;
};

// "40G", "512M", "1.5G", "40GiB"; "0.5" and "50%" are parts of the GPU, "1" is all of it.
Result<Memory> parse_memory(std::string_view text);
std::string print(const Memory& memory);

// "0.5", "50%", "1": thousandths, at least one.
Result<int> parse_share(std::string_view text);
std::string print_share(int thousandths);

// "90s", "45m", "4h", "2d", "1h30m"; more than nothing, at most ten years.
Result<Duration> parse_duration(std::string_view text);
std::string print(Duration duration);

// "12 GPUs", "1 GPU", "2.5 GPUs"
std::string print_gpus(int64_t thousandths);

}  // namespace nm::pool
