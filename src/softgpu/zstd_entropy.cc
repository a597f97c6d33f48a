#include "softgpu/zstd_entropy.h"

#include <bit>

namespace nm::softgpu::zstd {
namespace {

unsigned log2_of(uint64_t value) { return 63 - static_cast<unsigned>(std::countl_zero(value)); }

// Bits from the beginning, least significant first.
class ForwardBits {
 public:
  explicit ForwardBits(Bytes bytes) : bytes_(bytes) {}
  uint32_t peek(unsigned bits) const {
    uint32_t value = 0;
    for (unsigned i = 0; i < bits; ++i) {
      const size_t at = position_ + i;
      if (at / 8 < bytes_.size) value |= static_cast<uint32_t>(bytes_.data[at / 8] >> (at % 8) & 1) << i;
    }
    return value;
  }
  void skip(unsigned bits) { position_ += bits; }
  uint32_t read(unsigned bits) {
    const uint32_t value = peek(bits);
    skip(bits);
    return value;
  }
  size_t bytes_used() const { return (position_ + 7) / 8; }

 private:
  Bytes bytes_;
  size_t position_ = 0;
};

}  // namespace

Bytes Bytes::take(size_t n) {
  require_intact(n <= size);
  const Bytes front{data, n};
  data += n;
  size -= n;
  return front;
}

BackwardBits::BackwardBits(Bytes bytes) : bytes_(bytes) {
  require_intact(bytes.size > 0 && bytes.data[bytes.size - 1] != 0);
  position_ = static_cast<int64_t>((bytes.size - 1) * 8 + log2_of(bytes.data[bytes.size - 1]));
}

uint64_t BackwardBits::read(unsigned bits) {
  uint64_t value = 0;
  for (unsigned i = 0; i < bits; ++i) {
    const int64_t at = --position_;
    const uint64_t bit = at >= 0 ? bytes_.data[at / 8] >> (at % 8) & 1u : 0u;
    value = value << 1 | bit;
  }
  return value;
}

FseTable::FseTable(const int16_t* frequencies, size_t symbols, unsigned accuracy) : accuracy_(accuracy) {
  const size_t size = size_t{1} << accuracy;
  cells_.resize(size);
  std::vector<uint32_t> next(symbols);
  size_t high = size;
  for (size_t s = 0; s < symbols; ++s) {
    if (frequencies[s] != -1) continue;
    require_intact(high > 0);
    cells_[--high].symbol = static_cast<uint8_t>(s);
    next[s] = 1;
  }
  const size_t step = (size >> 1) + (size >> 3) + 3;
  size_t at = 0, placed = size - high;
  for (size_t s = 0; s < symbols; ++s) {
    if (frequencies[s] <= 0) continue;
    next[s] = static_cast<uint32_t>(frequencies[s]);
    for (int i = 0; i < frequencies[s]; ++i) {
      require_intact(placed++ < size);
      cells_[at].symbol = static_cast<uint8_t>(s);
      do {
        at = (at + step) & (size - 1);
      } while (at >= high && placed < size);
    }
  }
  require_intact(placed == size);
  for (auto& cell : cells_) {
    const uint32_t state = next[cell.symbol]++;
    cell.bits = static_cast<uint8_t>(accuracy - log2_of(state));
    cell.base = static_cast<uint16_t>((state << cell.bits) - size);
  }
}

FseTable FseTable::constant(uint8_t symbol) {
  FseTable table;
  table.cells_.assign(1, {symbol, 0, 0});
  return table;
}

FseTable FseTable::read(Bytes& bytes, unsigned max_accuracy, size_t max_symbols) {
  ForwardBits bits(bytes);
  const unsigned accuracy = bits.read(4) + 5;
  require_intact(accuracy <= max_accuracy);
  int32_t remaining = 1 << accuracy;
  std::vector<int16_t> frequencies;
  while (remaining > 0) {
    require_intact(frequencies.size() < max_symbols && bits.bytes_used() <= bytes.size);
    // A value below the threshold takes a bit less.
    const unsigned width = log2_of(static_cast<uint64_t>(remaining) + 1) + 1;
    uint32_t value = bits.peek(width);
    const uint32_t low = (1u << (width - 1)) - 1;
    const uint32_t threshold = (1u << width) - 1 - static_cast<uint32_t>(remaining + 1);
    if ((value & low) < threshold) {
      value &= low;
      bits.skip(width - 1);
    } else {
      if (value > low) value -= threshold;
      bits.skip(width);
    }
    const auto frequency = static_cast<int16_t>(static_cast<int32_t>(value) - 1);
    remaining -= frequency < 0 ? -frequency : frequency;
    frequencies.push_back(frequency);
    if (frequency != 0) continue;
    for (uint32_t zeros = 3; zeros == 3;) {
      zeros = bits.read(2);
      frequencies.insert(frequencies.end(), zeros, 0);
    }
  }
  require_intact(remaining == 0 && frequencies.size() <= max_symbols);
  bytes.take(bits.bytes_used());
  return FseTable(frequencies.data(), frequencies.size(), accuracy);
}

HuffmanTable HuffmanTable::read(Bytes& bytes) {
  std::vector<uint8_t> weights;
  const uint8_t header = bytes.byte();
  if (header >= 128) {
    const size_t count = header - 127u;
    const Bytes packed = bytes.take((count + 1) / 2);
    for (size_t i = 0; i < count; ++i) {
      weights.push_back(i % 2 == 0 ? packed.data[i / 2] >> 4 : packed.data[i / 2] & 15);
    }
  } else {
    Bytes body = bytes.take(header);
    const FseTable table = FseTable::read(body, 6, 256);
    BackwardBits bits(body);
    // Two states take turns; when the bits are used up, the other one still holds a symbol.
    size_t state[2];
    for (auto& s : state) s = bits.read(table.accuracy());
    for (int turn = 0;; turn ^= 1) {
      require_intact(weights.size() < 255);
      weights.push_back(table.symbol(state[turn]));
      state[turn] = table.next(state[turn], bits);
      if (bits.position() < 0) {
        weights.push_back(table.symbol(state[turn ^ 1]));
        break;
      }
    }
  }
  // The last symbol's weight is what completes the sum to a power of two.
  uint32_t sum = 0;
  for (const uint8_t w : weights) {
    require_intact(w <= 11);
    sum += w ? 1u << (w - 1) : 0;
  }
  require_intact(sum > 0 && weights.size() < 256);
  const unsigned max_bits = log2_of(sum) + 1;
  const uint32_t left = (1u << max_bits) - sum;
  require_intact(max_bits <= 11 && std::has_single_bit(left));
  weights.push_back(static_cast<uint8_t>(log2_of(left) + 1));

  HuffmanTable table;
  table.max_bits_ = max_bits;
  table.cells_.reserve(size_t{1} << max_bits);
  for (unsigned w = 1; w <= max_bits; ++w) {
    for (size_t s = 0; s < weights.size(); ++s) {
      if (weights[s] != w) continue;
      table.cells_.insert(table.cells_.end(), size_t{1} << (w - 1),
                          {static_cast<uint8_t>(s), static_cast<uint8_t>(max_bits + 1 - w)});
    }
  }
  require_intact(table.cells_.size() == size_t{1} << max_bits);
  return table;
}

void HuffmanTable::decode(Bytes stream, size_t count, std::vector<uint8_t>& out) const {
  BackwardBits bits(stream);
  const size_t mask = (size_t{1} << max_bits_) - 1;
  size_t state = bits.read(max_bits_);
  for (size_t i = 0; i < count; ++i) {
    const Cell cell = cells_[state];
    out.push_back(cell.symbol);
    state = (state << cell.bits | bits.read(cell.bits)) & mask;
  }
  require_intact(bits.position() == -static_cast<int64_t>(max_bits_));
}

}  // namespace nm::softgpu::zstd
