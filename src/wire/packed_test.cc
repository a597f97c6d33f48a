#include "wire/packed.h"

#include <gtest/gtest.h>

#include <string>

namespace nm::wire {
namespace {

std::vector<uint8_t> text(size_t lines) {
  std::string out;
  for (size_t i = 0; i < lines; i++) out += "mov.u32 %r" + std::to_string(i * 7919 % 1000) + ", %tid.x;\n";
  return {out.begin(), out.end()};
}

TEST(Packed, ComesBackAsItWas) {
  const auto bytes = text(2000);
  const auto packed = pack(bytes);
  ASSERT_FALSE(packed.empty());
  EXPECT_LT(packed.size(), bytes.size() / 3);
  EXPECT_EQ(unpack(packed, bytes.size()), bytes);
}

TEST(Packed, WhatGainsNothingIsLeftAsItIs) {
  std::vector<uint8_t> noise(50'000);
  uint32_t state = 1;
  for (uint8_t& byte : noise) byte = static_cast<uint8_t>((state = state * 1664525 + 1013904223) >> 24);
  EXPECT_TRUE(pack(noise).empty());
  EXPECT_TRUE(pack({}).empty());
  EXPECT_TRUE(pack(std::vector<uint8_t>(1 << 20)).empty()) << "nobody would unpack so much from so little";
}

TEST(Packed, LiesAboutTheSizeAreRefused) {
  const auto bytes = text(2000);
  const auto packed = pack(bytes);
  for (uint64_t size :
       {uint64_t{0}, uint64_t{1}, bytes.size() - 1, bytes.size() + 1, uint64_t{1} << 40, ~uint64_t{0}}) {
    EXPECT_FALSE(unpack(packed, size)) << size;
  }
}

TEST(Packed, DamageIsRefusedOrHarmless) {
  const auto bytes = text(500);
  const auto packed = pack(bytes);
  for (size_t size = 0; size < packed.size(); size++) {
    EXPECT_FALSE(unpack(std::span(packed).first(size), bytes.size())) << size;
  }
  auto longer = packed;
  longer.push_back(0);
  EXPECT_FALSE(unpack(longer, bytes.size()));
  for (size_t at = 0; at < packed.size(); at++) {
    auto damaged = packed;
    damaged[at] ^= 0x55;
    auto out = unpack(damaged, bytes.size());
    EXPECT_TRUE(!out || out->size() == bytes.size());
  }
}

}  // namespace
}  // namespace nm::wire
