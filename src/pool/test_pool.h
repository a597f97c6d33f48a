// Hosts and claims for tests, in few words.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "pool/host.h"

namespace nm::pool {

struct Of {  // what a host's GPUs are like
  std::string model = "NVIDIA H200";
  Mib memory = 141 * 1024;
  int per_numa = 4, per_island = 0;  // 0: all of the host's; -1 island: none
  bool network = true, passthrough = true;
};

inline Host host(const std::string& id, int gpus, const Of& of = {}) {
  Host host{.id = id};
  for (int i = 0; i < gpus; ++i) {
    Device device{.id = fmt::format("{}-gpu{}", id, i), .model = of.model, .memory = of.memory};
    device.numa = of.per_numa > 0 ? i / of.per_numa : 0;
    device.island = of.per_island < 0 ? -1 : of.per_island == 0 ? 0 : i / of.per_island;
    device.network = of.network;
    device.passthrough = of.passthrough;
    device.memory_left = of.memory;
    host.devices.push_back(device);
  }
  return host;
}

// Takes a part of a device; thousandths.
inline void take(Host& host, size_t device, int share = kWhole, Path way = Path::network) {
  Device& d = host.devices[device];
  d.share_left -= share;
  d.memory_left -= d.memory * share / kWhole;
  d.held = way;
}

inline Claim claim(const std::string& id, int number, const std::string& model = "") {
  return Claim{.id = id, .number = number, .model = model};
}

inline Time at(int64_t seconds) { return Time(std::chrono::seconds(1'000'000 + seconds)); }

}  // namespace nm::pool
