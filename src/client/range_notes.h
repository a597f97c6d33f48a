// What was learned or said about one range of memory. It ends with the range.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include "client/advice.h"

namespace nm::client {

struct RangeNotes {
  std::mutex mutex;
  std::map<unsigned, std::vector<uint8_t>> attributes;  // CUpointer_attribute: what the server said once and for all
  AdviceMap advice;                                     // managed memory
};

}  // namespace nm::client
