// Fat binaries: the parts that no driver call reaches with less than a compiler at hand.
#include "softgpu/image.h"

#include <gtest/gtest.h>

#include <cstring>

namespace nm::softgpu {
namespace {

std::vector<uint8_t> bytes(const char* hex) {
  std::vector<uint8_t> out;
  for (; hex[0] && hex[1]; hex += 2) out.push_back(static_cast<uint8_t>(std::stoul(std::string(hex, 2), nullptr, 16)));
  return out;
}

TEST(Lz4, LiteralsAndOverlappingMatches) {
  // "abc", then 9 bytes from 3 back, then "!": abcabcabcabc!
  const auto packed = bytes(
      "356162630300"
      "10"
      "21");
  const auto text = decompress_lz4(packed.data(), packed.size(), 13);
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ("abcabcabcabc!", *text);
}

TEST(Lz4, DamagedDataIsRefused) {
  const auto packed = bytes(
      "35616263030010"
      "21");
  for (size_t n = 0; n < packed.size(); ++n) {
    const auto text = decompress_lz4(packed.data(), n, 13);
    EXPECT_FALSE(text) << n;
  }
  const auto far = bytes("3561626309001021");
  EXPECT_FALSE(decompress_lz4(far.data(), far.size(), 13));
}

#include "softgpu/testdata_zstd.inc"

TEST(Zstd, FramesOfEveryKindOfBlock) {
  for (const auto& sample : kZstdSamples) {
    const auto packed = bytes(sample.hex);
    std::string want;
    for (int i = 0; i < sample.repeat; ++i) want += sample.text;
    const auto text = decompress_zstd(packed.data(), packed.size(), want.size());
    ASSERT_TRUE(text) << sample.name;
    EXPECT_EQ(want, *text) << sample.name;
  }
}

TEST(Zstd, DamagedFramesAreRefusedOrAtLeastEnd) {
  for (const auto& sample : kZstdSamples) {
    auto packed = bytes(sample.hex);
    const size_t size = std::strlen(sample.text) * static_cast<size_t>(sample.repeat);
    for (size_t n = 0; n < packed.size(); ++n) EXPECT_FALSE(decompress_zstd(packed.data(), n, size)) << sample.name;
    for (size_t i = 0; i < packed.size(); ++i) {
      for (const uint8_t flip : {0x01, 0x80, 0xff}) {
        packed[i] ^= flip;
        (void)decompress_zstd(packed.data(), packed.size(), size);
        packed[i] ^= flip;
      }
    }
  }
}

}  // namespace
}  // namespace nm::softgpu
