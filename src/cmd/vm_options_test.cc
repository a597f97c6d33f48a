#include <gtest/gtest.h>

#include "cmd/vm.h"

namespace nm::cmd {
namespace {

TEST(VmOptions, MemoryIsANumberWithItsUnit) {
  EXPECT_EQ(*parse_memory("16G"), uint64_t{16} << 30);
  EXPECT_EQ(*parse_memory("16GiB"), uint64_t{16} << 30);
  EXPECT_EQ(*parse_memory("512m"), uint64_t{512} << 20);
  EXPECT_EQ(*parse_memory("2T"), uint64_t{1} << 41);
  for (const char* bad : {"", "16", "G", "-1G", " 1G", "1.5G", "0G", "16GB", "16 G", "99999999999T", "16777216T"}) {
    const auto memory = parse_memory(bad);
    ASSERT_FALSE(memory) << bad;
    EXPECT_NE(memory.error().message.find("--memory is"), std::string::npos);
  }
}

TEST(VmOptions, NetworksAreNamed) {
  VmOptions options{.disk = "/srv/a.img", .net = "bridge:br0"};
  EXPECT_EQ(vm_wish(options)->network.name, "br0");
  options.net = "tap:t,x";
  EXPECT_EQ(vm_wish(options)->network.name, "t,x") << "the kernel allows commas";
  for (const char* bad : {"", "bridge", "bridge:", "tap:a/b", "tap:..", "bridge:a b", "tap:0123456789abcdef", "wifi"}) {
    options.net = bad;
    EXPECT_FALSE(vm_wish(options)) << bad;
  }
}

TEST(VmOptions, AGuestIsCalledAfterItsDiskOrAsItIsTold) {
  EXPECT_EQ(vm_wish({.disk = "/srv/train.qcow2"})->name, "train");
  EXPECT_EQ(vm_wish({.disk = "/srv/train.qcow2", .name = "a, b"})->name, "a, b");
  EXPECT_FALSE(vm_wish({.disk = "/srv/train.qcow2", .name = "a/b"}));
}

}  // namespace
}  // namespace nm::cmd
