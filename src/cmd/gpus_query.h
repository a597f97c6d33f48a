// What a server offers, asked the way every program asks: through our libcuda.so.1.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "wire/address.h"

namespace nm::cmd {

struct GpuInfo {
  int index = 0;
  std::string name;
  std::string uuid;  // "GPU-01234567-89ab-..."
  std::string pci;   // "0000:65:00.0"
  uint64_t memory_bytes = 0;
  int capability_major = 0, capability_minor = 0;
  int multiprocessors = 0;
};

// One list for the way through the pipe between `gpus` and its probe, and for -o json.
std::string to_json(const std::vector<GpuInfo>& gpus);
Result<std::vector<GpuInfo>> from_json(const std::string& text);

Result<std::vector<GpuInfo>> query_gpus(const wire::Address& server);

}  // namespace nm::cmd
