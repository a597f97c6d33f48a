// What memory must hold: the operations on the CPU, in their serial order.
#pragma once

#include <cstdint>
#include <vector>

#include "order/program.h"

namespace order {

// Folds, as kernels and host functions do them; all arithmetic is modulo 2^32 or 2^8.
uint32_t after_delay(uint32_t c, uint32_t steps);
inline uint32_t fold_word(uint32_t x, uint32_t i, uint32_t a, uint32_t b, uint32_t c) { return x * a + b + c + i; }
inline uint32_t mix_word(uint32_t x, uint32_t y, uint32_t i, uint32_t a, uint32_t b, uint32_t c) {
  return x * a + y * b + (y ^ c) + i;
}
// Host memory is folded byte by byte. `src` may be null.
void fold_bytes(uint8_t* dst, uint32_t size, const uint8_t* src, uint32_t src_size, uint32_t a, uint32_t b);

uint64_t digest(const uint8_t* bytes, size_t size, uint64_t start = 0xcbf29ce484222325ull);
// What a region holds at the beginning.
std::vector<uint8_t> initial_bytes(uint64_t seed, int region, uint32_t size);

class Memory {
 public:
  // `history`: also which operation wrote each byte last.
  explicit Memory(const Program& program, bool history = false);

  void apply(const Op& op);
  const std::vector<uint8_t>& bytes(int region) const { return regions_[static_cast<size_t>(region)]; }
  bool live(int region) const { return live_[static_cast<size_t>(region)]; }
  // -1: none did.
  int writer(int region, uint32_t offset) const { return writers_[static_cast<size_t>(region)][offset]; }
  uint64_t digest_of(const Span& s) const { return digest(&bytes(s.region)[s.offset], s.size); }

 private:
  void wrote(const Op& op, uint32_t offset, uint32_t size);

  const Program& program_;
  std::vector<std::vector<uint8_t>> regions_;
  std::vector<bool> live_;
  std::vector<std::vector<int>> writers_;
  int current_ = -1;
};

}  // namespace order
