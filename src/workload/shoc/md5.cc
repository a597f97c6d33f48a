#include "workload/shoc/md5.h"

#include <bit>
#include <cmath>
#include <cstddef>

namespace nm::workload::shoc {

// Written after RFC 1321's definition and in loops, other than the kernel, so that the two do not share a mistake.
std::array<uint32_t, 4> md5(std::span<const uint8_t> message) {
  std::array<uint8_t, 64> block{};
  for (size_t i = 0; i < message.size(); ++i) block[i] = message[i];
  block[message.size()] = 0x80;
  const size_t bits = message.size() * 8;
  block[56] = static_cast<uint8_t>(bits), block[57] = static_cast<uint8_t>(bits >> 8);
  std::array<uint32_t, 16> words{};
  for (size_t i = 0; i < 64; ++i) words[i / 4] |= static_cast<uint32_t>(block[i]) << (8 * (i % 4));

  constexpr std::array<std::array<int, 4>, 4> kTurns{
      {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}}};
  constexpr std::array<uint32_t, 4> kBegin{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  std::array<uint32_t, 4> s = kBegin;
  for (size_t i = 0; i < 64; ++i) {
    const uint32_t b = s[1], c = s[2], d = s[3];
    uint32_t f = 0;
    size_t word = 0;
    switch (i / 16) {
      case 0:
        f = (b & c) | (~b & d), word = i;
        break;
      case 1:
        f = (b & d) | (c & ~d), word = (5 * i + 1) % 16;
        break;
      case 2:
        f = b ^ c ^ d, word = (3 * i + 5) % 16;
        break;
      default:
        f = c ^ (b | ~d), word = 7 * i % 16;
        break;
    }
    const auto constant =
        static_cast<uint32_t>(std::floor(4294967296.0 * std::abs(std::sin(static_cast<double>(i + 1)))));
    const uint32_t turned = b + std::rotl(s[0] + f + words[word] + constant, kTurns[i / 16][i % 4]);
    s = {d, turned, b, c};
  }
  for (size_t i = 0; i < 4; ++i) s[i] += kBegin[i];
  return s;
}

}  // namespace nm::workload::shoc
