#include "client/fatbin.h"

#include <gtest/gtest.h>
#include <string.h>

#include <string>

namespace nm::client {
namespace {

constexpr uint64_t kPlain = 0x11, kA = 0x100011, kF = 0x200011, kZstd = 0x8011;

struct Made {
  uint16_t kind;
  uint32_t sm;
  uint64_t flags = kPlain;
  std::string payload = "payload of 24 bytes.....";
};
constexpr uint16_t kPtx = 1, kElf = 2;

std::vector<uint8_t> fat(const std::vector<Made>& entries, uint32_t entry_header = 64) {
  std::vector<uint8_t> out(16);
  auto put = [&](size_t at, auto value) { memcpy(out.data() + at, &value, sizeof value); };
  for (const Made& e : entries) {
    const size_t at = out.size();
    out.resize(at + entry_header);
    put(at, e.kind), put(at + 2, uint16_t{0x101}), put(at + 4, entry_header), put(at + 8, uint64_t{e.payload.size()});
    put(at + 28, e.sm), put(at + 40, e.flags);
    out.insert(out.end(), e.payload.begin(), e.payload.end());
  }
  put(0, 0xba55ed50u), put(4, uint16_t{1}), put(6, uint16_t{16}), put(8, uint64_t{out.size() - 16});
  return out;
}

std::vector<uint8_t> part_of(const std::vector<uint8_t>& image, std::vector<Architecture> devices,
                             bool keep_ptx = false) {
  return needed_part({image.data(), image.size()}, devices, keep_ptx);
}

// What is left of `all` for `devices` must be `left`, laid out as the compiler would lay out that alone.
void expect_left(const std::vector<Made>& all, std::vector<Architecture> devices, const std::vector<Made>& left,
                 bool keep_ptx = false) {
  EXPECT_EQ(part_of(fat(all), std::move(devices), keep_ptx), left.empty() ? std::vector<uint8_t>{} : fat(left));
}

TEST(Fatbin, OnlyMachineCodeOfTheDeviceIsLeft) {
  expect_left({{kElf, 75}, {kElf, 80}, {kElf, 90}, {kPtx, 90}}, {{9, 0}}, {{kElf, 90}});
  expect_left({{kElf, 75}, {kElf, 80}, {kElf, 86}, {kElf, 89}}, {{8, 6}}, {{kElf, 86}});
}

TEST(Fatbin, OfOlderMachineCodeOfItsGenerationTheNearestIsLeftAndPtx) {
  expect_left({{kElf, 70}, {kElf, 80}, {kElf, 86}, {kElf, 90}, {kPtx, 70}, {kPtx, 89}, {kPtx, 90}}, {{8, 9}},
              {{kElf, 86}, {kPtx, 70}, {kPtx, 89}});
}

TEST(Fatbin, WhereNoMachineCodeFitsPtxIsLeft) {
  expect_left({{kElf, 80}, {kElf, 86}, {kPtx, 80}, {kPtx, 100}}, {{9, 0}}, {{kPtx, 80}});
  expect_left({{kElf, 90}, {kPtx, 75}}, {{8, 0}}, {{kPtx, 75}});
}

TEST(Fatbin, VariantsOfAnArchitectureStayWhereTheyRun) {
  expect_left({{kElf, 80}, {kElf, 90}, {kElf, 90, kA}, {kPtx, 90, kA}}, {{9, 0}}, {{kElf, 90}, {kElf, 90, kA}});
  const std::vector<Made> blackwell = {{kElf, 100}, {kElf, 100, kA}, {kElf, 100, kF}, {kElf, 103, kA}, {kElf, 120, kF}};
  expect_left(blackwell, {{10, 0}}, {{kElf, 100}, {kElf, 100, kA}, {kElf, 100, kF}});
  expect_left(blackwell, {{10, 3}}, {{kElf, 103, kA}});
  expect_left(blackwell, {{12, 1}}, {{kElf, 120, kF}});
  expect_left({{kElf, 100, kA}, {kElf, 100, kF}, {kElf, 90}}, {{10, 3}}, {{kElf, 100, kF}});
  expect_left({{kPtx, 90, kA}, {kPtx, 100, kF}, {kPtx, 80}}, {{10, 3}}, {{kPtx, 100, kF}, {kPtx, 80}});
}

TEST(Fatbin, EachOfSeveralDevicesIsServed) {
  expect_left({{kElf, 75}, {kElf, 80}, {kElf, 90}, {kPtx, 90}}, {{8, 0}, {9, 0}, {9, 0}}, {{kElf, 80}, {kElf, 90}});
  expect_left({{kElf, 75}, {kElf, 80}, {kElf, 90}, {kPtx, 70}}, {{8, 0}, {10, 0}}, {{kElf, 80}, {kPtx, 70}});
}

TEST(Fatbin, PtxStaysIfItIsWanted) {
  expect_left({{kElf, 80}, {kElf, 90}, {kPtx, 90}}, {{9, 0}}, {{kElf, 90}, {kPtx, 90}}, true);
}

TEST(Fatbin, WhatIsNotKnownStays) {
  expect_left({{kElf, 80}, {kElf, 90}, {8, 80}, {64, 0}}, {{9, 0}}, {{kElf, 90}, {8, 80}, {64, 0}});
}

TEST(Fatbin, CompressedEntriesAndLongHeadersAreCopiedAsTheyAre) {
  const std::vector<Made> all = {{kElf, 80, kZstd, std::string(800, 'x')}, {kElf, 90, kZstd, std::string(80, 'y')}};
  EXPECT_EQ(part_of(fat(all, 112), {{9, 0}}), fat({all[1]}, 112));
}

TEST(Fatbin, WhatHasNothingToLeaveOutOrNothingToKeepGoesWhole) {
  expect_left({{kElf, 90}}, {{9, 0}}, {});
  expect_left({{kElf, 70}, {kPtx, 100}}, {{9, 0}}, {});
  expect_left({{kElf, 70}}, {}, {});
  expect_left({}, {{9, 0}}, {});
}

TEST(Fatbin, WhatTheCompilerCompressedIsSeen) {
  const auto holds = [](const std::vector<Made>& entries) {
    const auto image = fat(entries);
    return holds_compressed({image.data(), image.size()});
  };
  const std::string large(4096, 'x'), small(64, 'x');
  EXPECT_TRUE(holds({{kElf, 90, kZstd, large}, {kPtx, 90, kPlain, small}}));
  EXPECT_TRUE(holds({{kElf, 90, 0x2011, large}}));
  EXPECT_FALSE(holds({{kElf, 90, kPlain, large}, {kPtx, 90, kZstd, small}}));
  EXPECT_FALSE(holds_compressed({"PTX", 4}));
}

TEST(Fatbin, WhatIsNotLaidOutAsWeKnowGoesWhole) {
  const auto fine = fat({{kElf, 80}, {kElf, 90}});
  ASSERT_FALSE(part_of(fine, {{9, 0}}).empty());
  for (size_t size = 0; size < fine.size(); size++) {
    EXPECT_TRUE(part_of({fine.begin(), fine.begin() + static_cast<long>(size)}, {{9, 0}}).empty()) << size;
  }
  const auto with = [&](size_t at, uint64_t value, size_t bytes) {
    auto image = fine;
    memcpy(image.data() + at, &value, bytes);
    return image;
  };
  EXPECT_TRUE(part_of(with(4, 2, 2), {{9, 0}}).empty()) << "another version";
  EXPECT_TRUE(part_of(with(6, 8, 2), {{9, 0}}).empty());
  EXPECT_TRUE(part_of(with(16 + 4, 8, 4), {{9, 0}}).empty());
  EXPECT_TRUE(part_of(with(16 + 4, 0xfffffff8, 4), {{9, 0}}).empty());
  EXPECT_TRUE(part_of(with(16 + 8, ~0ull - 7, 8), {{9, 0}}).empty());
  EXPECT_TRUE(part_of(with(16 + 8, 25, 8), {{9, 0}}).empty());
}

}  // namespace
}  // namespace nm::client
