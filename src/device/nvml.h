// The state of a device as NVML tells it: clocks, temperature, power, what holds the clocks down, link, modes. Read and
// never set. What a driver does not tell is left out; without libnvidia-ml.so.1 there is nothing to tell.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "device/device.h"

namespace nm::device {

struct StateField {
  std::string name;  // "sm_clock_mhz": with its unit
  std::variant<int64_t, double, std::string> value;
};

// The device is found by its uuid, or else by its PCI address.
std::vector<StateField> read_state(const Info& info);

// "sw_power_cap,hw_slowdown"; "none" for 0. What has no name here stands as "bit_<n>".
std::string names_of_clocks_event_reasons(uint64_t reasons);

}  // namespace nm::device
