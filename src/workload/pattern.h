// The words of kernels/pattern.h, for the host: what a copy must bring, and nothing else can be taken for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace nm::workload {

#define DEVICE inline
#include "kernels/pattern.h"
#undef DEVICE

inline void fill_pattern(std::span<uint32_t> words, uint32_t salt) {
  for (size_t i = 0; i < words.size(); ++i) words[i] = pattern_word(static_cast<uint32_t>(i), salt);
}
inline size_t count_wrong(std::span<const uint32_t> words, uint32_t salt) {
  size_t wrong = 0;
  for (size_t i = 0; i < words.size(); ++i) wrong += words[i] != pattern_word(static_cast<uint32_t>(i), salt);
  return wrong;
}

}  // namespace nm::workload
