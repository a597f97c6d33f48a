// Which parts of reserved address space have memory behind them (cuMemMap).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "client/range_notes.h"

namespace nm::client {

struct Mapping {
  uint64_t base, size;  // bytes
  std::shared_ptr<RangeNotes> notes;
};

std::optional<Mapping> find_mapping(uint64_t address);

}  // namespace nm::client
