// The two entropy codes of a Zstandard frame (RFC 8878, section 4): finite-state entropy and Huffman. Damaged input
// throws Damaged, which decompress_zstd() turns into an error.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace nm::softgpu::zstd {

struct Damaged {};

inline void require_intact(bool holds) {
  if (!holds) throw Damaged{};
}

struct Bytes {
  const uint8_t* data = nullptr;
  size_t size = 0;
  // The first `n`, which are taken off.
  Bytes take(size_t n);
  uint8_t byte() { return *take(1).data; }
};

// Bits from the end of the data to its beginning: the last byte's highest bit only marks where they start. Reading past
// the beginning gives zeros; position() goes below zero then.
class BackwardBits {
 public:
  explicit BackwardBits(Bytes bytes);
  uint64_t read(unsigned bits);
  int64_t position() const { return position_; }

 private:
  Bytes bytes_;
  int64_t position_;
};

class FseTable {
 public:
  FseTable() = default;
  // From symbol frequencies (-1: less than one) that add up to 2^accuracy.
  FseTable(const int16_t* frequencies, size_t symbols, unsigned accuracy);
  // A table that always gives one symbol.
  static FseTable constant(uint8_t symbol);
  // Reads the description off the front of `bytes`.
  static FseTable read(Bytes& bytes, unsigned max_accuracy, size_t max_symbols);

  unsigned accuracy() const { return accuracy_; }
  uint8_t symbol(size_t state) const { return cells_[state].symbol; }
  size_t next(size_t state, BackwardBits& bits) const { return cells_[state].base + bits.read(cells_[state].bits); }

 private:
  struct Cell {
    uint8_t symbol, bits;
    uint16_t base;
  };
  unsigned accuracy_ = 0;
  std::vector<Cell> cells_;
};

class HuffmanTable {
 public:
  bool empty() const { return cells_.empty(); }
  static HuffmanTable read(Bytes& bytes);
  // Exactly `count` symbols from one stream.
  void decode(Bytes stream, size_t count, std::vector<uint8_t>& out) const;

 private:
  struct Cell {
    uint8_t symbol, bits;
  };
  unsigned max_bits_ = 0;
  std::vector<Cell> cells_;
};

}  // namespace nm::softgpu::zstd
