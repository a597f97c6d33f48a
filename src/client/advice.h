// What a program advised about the pages of one managed range.
#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "cuda_abi.h"

namespace nm::client {

struct Advice {
  bool read_mostly = false;
  CUmemLocation preferred{CU_MEM_LOCATION_TYPE_INVALID, 0};
  CUmemLocation prefetched{CU_MEM_LOCATION_TYPE_INVALID, 0};
  uint64_t accessed_by = 0;  // one bit per device
};

class AdviceMap {
 public:
  // Changes what is known of [begin, end), widened to whole pages as CUDA does.
  void update(uint64_t begin, uint64_t end, const std::function<void(Advice&)>& change);
  // Every different stretch of [begin, end), also those of which nothing was said.
  void each(uint64_t begin, uint64_t end, const std::function<void(const Advice&)>& visit) const;

 private:
  void split(uint64_t at);
  // Each entry holds from its address to the next entry's; before the first one nothing was said.
  std::map<uint64_t, Advice> from_;
};

}  // namespace nm::client
