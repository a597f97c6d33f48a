#include "client/areas.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include <string>

namespace nm::client {
namespace {

TEST(Areas, ALineSaysWhatLiesThere) {
  Area a;
  ASSERT_TRUE(parse_area("7f0012345000-7f0012347000 rw-s 00003000 00:1b 4711                       /dev/shm/x y", &a));
  EXPECT_EQ(0x7f0012345000u, a.first);
  EXPECT_EQ(0x2000u, a.size());
  EXPECT_EQ(PROT_READ | PROT_WRITE, a.protection());
  EXPECT_TRUE(a.shared);
  EXPECT_EQ(0x3000u, a.offset);
  EXPECT_EQ(makedev(0, 0x1b), a.device);
  EXPECT_EQ(4711u, a.inode);
  EXPECT_EQ("/dev/shm/x y", a.name);
}

TEST(Areas, ALineMayLackAName) {
  Area a;
  ASSERT_TRUE(parse_area("10000-11000 r-xp 00000000 00:00 0 ", &a));
  EXPECT_EQ(PROT_READ | PROT_EXEC, a.protection());
  EXPECT_FALSE(a.shared);
  EXPECT_EQ("", a.name);
  EXPECT_TRUE(parse_area("10000-11000 ---p 00000000 00:00 0", &a));
}

TEST(Areas, WhatIsNoLineIsRefused) {
  Area a;
  for (const char* line :
       {"", "10000", "10000-11000", "10000-11000 rw", "10000-11000 rw-p 0 00:00", "x-y rw-p 0 00:00 0"})
    EXPECT_FALSE(parse_area(line, &a)) << line;
}

TEST(Areas, TheyAreFoundInOrder) {
  void* p = mmap(nullptr, 8192, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(MAP_FAILED, p);
  const auto at = reinterpret_cast<uint64_t>(p);
  uint64_t end = 0;
  bool found = false, ordered = true;
  ASSERT_TRUE(for_each_area([&](const Area& a) {
    ordered = ordered && a.first >= end;
    end = a.end;
    if (a.first <= at && at < a.end) found = a.shared && a.protection() == PROT_READ && a.end >= at + 8192;
    return true;
  }));
  EXPECT_TRUE(found && ordered);
  munmap(p, 8192);
}

}  // namespace
}  // namespace nm::client
