// A Zstandard frame without a dictionary (RFC 8878): what nvcc packs PTX into.
#include <cstring>

#include "softgpu/image.h"
#include "softgpu/zstd_entropy.h"

namespace nm::softgpu {
namespace zstd {
namespace {

struct Code {
  uint32_t base;
  uint8_t bits;
};
constexpr Code kLiteralLengths[36] = {
    {0, 0},   {1, 0},   {2, 0},     {3, 0},     {4, 0},     {5, 0},     {6, 0},      {7, 0},      {8, 0},
    {9, 0},   {10, 0},  {11, 0},    {12, 0},    {13, 0},    {14, 0},    {15, 0},     {16, 1},     {18, 1},
    {20, 1},  {22, 1},  {24, 2},    {28, 2},    {32, 3},    {40, 3},    {48, 4},     {64, 6},     {128, 7},
    {256, 8}, {512, 9}, {1024, 10}, {2048, 11}, {4096, 12}, {8192, 13}, {16384, 14}, {32768, 15}, {65536, 16}};
constexpr Code kMatchTail[21] = {{35, 1},    {37, 1},    {39, 1},    {41, 1},    {43, 2},     {47, 2},     {51, 3},
                                 {59, 3},    {67, 4},    {83, 4},    {99, 5},    {131, 7},    {259, 8},    {515, 9},
                                 {1027, 10}, {2051, 11}, {4099, 12}, {8195, 13}, {16387, 14}, {32771, 15}, {65539, 16}};
constexpr int16_t kDefaultLengths[36] = {4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1,  1,  2,  2,
                                         2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1};
constexpr int16_t kDefaultOffsets[29] = {1, 1, 1, 1, 1, 1, 2, 2, 2, 1,  1,  1,  1,  1, 1,
                                         1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1};
constexpr int16_t kDefaultMatches[53] = {1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1,  1,  1,  1,  1,  1,  1, 1,
                                         1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,  1,  1,  1,  1,  1,  1, 1,
                                         1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1};

uint64_t little_endian(Bytes bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size; i-- > 0;) value = value << 8 | bytes.data[i];
  return value;
}

class Frame {
 public:
  explicit Frame(size_t limit) : limit_(limit) { out_.reserve(limit); }

  std::string decode(Bytes bytes) {
    require_intact(little_endian(bytes.take(4)) == 0xfd2fb528);
    const uint8_t descriptor = bytes.byte();
    const bool single = (descriptor & 0x20) != 0;
    if (!single) bytes.take(1);  // the window: everything is kept
    constexpr size_t kDictionaryBytes[] = {0, 1, 2, 4};
    require_intact(little_endian(bytes.take(kDictionaryBytes[descriptor & 3])) == 0);
    constexpr size_t kContentBytes[] = {0, 2, 4, 8};
    bytes.take(descriptor >> 6 ? kContentBytes[descriptor >> 6] : single ? 1 : 0);
    for (bool last = false; !last;) {
      const uint64_t header = little_endian(bytes.take(3));
      last = header & 1;
      block(header >> 1 & 3, header >> 3, bytes);
    }
    if (descriptor & 4) bytes.take(4);  // the checksum; the size is checked, and the text will be compiled
    return std::move(out_);
  }

 private:
  void block(unsigned type, size_t size, Bytes& bytes) {
    switch (type) {
      case 0: {
        const Bytes raw = bytes.take(size);
        append(raw.data, raw.size);
        return;
      }
      case 1: {
        const uint8_t byte = bytes.byte();
        require_intact(out_.size() + size <= limit_);
        out_.append(size, static_cast<char>(byte));
        return;
      }
      case 2: {
        Bytes body = bytes.take(size);
        literals(body);
        sequences(body);
        return;
      }
      default:
        throw Damaged{};
    }
  }

  void append(const uint8_t* data, size_t n) {
    require_intact(out_.size() + n <= limit_);
    out_.append(reinterpret_cast<const char*>(data), n);
  }

  void literals(Bytes& body) {
    require_intact(body.size > 0);
    const unsigned type = body.data[0] & 3, format = body.data[0] >> 2 & 3;
    literals_.clear();
    if (type < 2) {
      const size_t header = format == 1 ? 2 : format == 3 ? 3 : 1;
      const size_t size = little_endian(body.take(header)) >> (header == 1 ? 3 : 4);
      require_intact(size <= limit_);
      const Bytes raw = body.take(type == 0 ? size : 1);
      if (type == 0) {
        literals_.assign(raw.data, raw.data + size);
      } else {
        literals_.assign(size, raw.data[0]);
      }
      return;
    }
    const size_t header = format < 2 ? 3 : format + 2;
    const unsigned width = format < 2 ? 10 : format == 2 ? 14 : 18;
    const uint64_t sizes = little_endian(body.take(header)) >> 4;
    const size_t size = sizes & ((1u << width) - 1), packed = sizes >> width & ((1u << width) - 1);
    require_intact(size <= limit_);
    Bytes streams = body.take(packed);
    if (type == 2) huffman_ = HuffmanTable::read(streams);
    require_intact(!huffman_.empty());
    if (format == 0) {
      huffman_.decode(streams, size, literals_);
      return;
    }
    size_t bytes[3];
    for (auto& n : bytes) n = little_endian(streams.take(2));
    const size_t each = (size + 3) / 4;
    require_intact(size >= 3 * each);
    for (const size_t n : bytes) huffman_.decode(streams.take(n), each, literals_);
    huffman_.decode(streams, size - 3 * each, literals_);
  }

  static void table(FseTable& table, unsigned mode, Bytes& body, const int16_t* standard, size_t standard_symbols,
                    unsigned standard_accuracy, unsigned max_accuracy, size_t max_symbols, bool& known) {
    switch (mode) {
      case 0:
        table = FseTable(standard, standard_symbols, standard_accuracy);
        break;
      case 1:
        table = FseTable::constant(body.byte());
        break;
      case 2:
        table = FseTable::read(body, max_accuracy, max_symbols);
        break;
      default:
        require_intact(known);  // the last one again
    }
    known = true;
  }

  void sequences(Bytes& body) {
    size_t count = body.byte();
    if (count >= 128) {
      count = count == 255 ? little_endian(body.take(2)) + 0x7f00 : ((count - 128) << 8) + body.byte();
    }
    size_t used = 0;
    if (count > 0) {
      const uint8_t modes = body.byte();
      table(lengths_, modes >> 6, body, kDefaultLengths, 36, 6, 9, 36, known_[0]);
      table(offsets_, modes >> 4 & 3, body, kDefaultOffsets, 29, 5, 8, 32, known_[1]);
      table(matches_, modes >> 2 & 3, body, kDefaultMatches, 53, 6, 9, 53, known_[2]);
      BackwardBits bits(body);
      size_t length_state = bits.read(lengths_.accuracy());
      size_t offset_state = bits.read(offsets_.accuracy());
      size_t match_state = bits.read(matches_.accuracy());
      for (size_t i = 0; i < count; ++i) {
        const uint8_t offset_code = offsets_.symbol(offset_state), match_code = matches_.symbol(match_state),
                      length_code = lengths_.symbol(length_state);
        require_intact(offset_code < 32 && match_code < 53 && length_code < 36);
        const uint64_t offset_value = (uint64_t{1} << offset_code) + bits.read(offset_code);
        const Code match = match_code < 32 ? Code{match_code + 3u, 0} : kMatchTail[match_code - 32];
        const size_t match_length = match.base + bits.read(match.bits);
        const size_t length = kLiteralLengths[length_code].base + bits.read(kLiteralLengths[length_code].bits);
        if (i + 1 < count) {
          length_state = lengths_.next(length_state, bits);
          match_state = matches_.next(match_state, bits);
          offset_state = offsets_.next(offset_state, bits);
        }
        require_intact(length <= literals_.size() - used);
        append(literals_.data() + used, length);
        used += length;
        copy(offset_of(offset_value, length), match_length);
      }
      require_intact(bits.position() == 0);
    }
    append(literals_.data() + used, literals_.size() - used);
  }

  // Values up to 3 name one of the last offsets; without literals before it they name the next one.
  uint64_t offset_of(uint64_t value, size_t length) {
    auto& r = recent_;
    if (value > 3) {
      r = {value - 3, r[0], r[1]};
      return r[0];
    }
    const size_t index = value - 1 + (length == 0 ? 1 : 0);
    if (index == 0) return r[0];
    const uint64_t offset = index < 3 ? r[index] : r[0] - 1;
    if (index > 1) r[2] = r[1];
    r[1] = r[0];
    r[0] = offset;
    return offset;
  }

  void copy(uint64_t offset, size_t length) {
    require_intact(offset > 0 && offset <= out_.size() && out_.size() + length <= limit_);
    for (size_t i = 0; i < length; ++i) out_.push_back(out_[out_.size() - offset]);  // may overlap itself
  }

  const size_t limit_;
  std::string out_;
  std::vector<uint8_t> literals_;
  HuffmanTable huffman_;
  FseTable lengths_, offsets_, matches_;
  bool known_[3] = {};
  std::array<uint64_t, 3> recent_ = {1, 4, 8};
};

}  // namespace
}  // namespace zstd

Result<std::string> decompress_zstd(const uint8_t* data, size_t bytes, size_t result_bytes) {
  try {
    std::string text = zstd::Frame(result_bytes).decode({data, bytes});
    if (text.size() == result_bytes) return text;
  } catch (const zstd::Damaged&) {
  }
  return Error{"A zstd entry of the fat binary is damaged."};
}

}  // namespace nm::softgpu
