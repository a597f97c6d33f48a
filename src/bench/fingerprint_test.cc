#include "bench/fingerprint.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace nm::bench {
namespace {

namespace fs = std::filesystem;

// A machine of files.
class FakeMachine : public testing::Test {
 protected:
  FakeMachine() {
    std::string name = (fs::temp_directory_path() / "nm-fingerprint-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
    file("proc/sys/kernel/hostname", "gpu7\n");
    file("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
    file("proc/sys/kernel/random/boot_id", "1f0c\n");
  }
  ~FakeMachine() override { fs::remove_all(root_); }

  void file(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  void link(const std::string& path, const std::string& to) {
    fs::create_directories((root_ / path).parent_path());
    fs::create_symlink(to, root_ / path);
  }
  Json look() const { return fingerprint("before", root_.string()); }

  fs::path root_;
};

TEST_F(FakeMachine, IsNamed) {
  const Json print = look();
  EXPECT_EQ(print["when"], "before");
  EXPECT_EQ(print["host"], "gpu7");
  EXPECT_EQ(print["boot"], "1f0c");
  EXPECT_EQ(print["kernel"], "6.1.0-18-amd64");
}

TEST_F(FakeMachine, TellsItsProcessorsAndSockets) {
  file("proc/cpuinfo",
       "processor\t: 0\nmodel name\t: AMD EPYC 9654\nphysical id\t: 0\n\n"
       "processor\t: 1\nmodel name\t: AMD EPYC 9654\nphysical id\t: 1\n");
  file("sys/devices/system/node/online", "0-1\n");
  const Json cpu = look()["processor"];
  EXPECT_EQ(cpu["model"], "AMD EPYC 9654");
  EXPECT_EQ(cpu["logical"], 2);
  EXPECT_EQ(cpu["sockets"], 2);
  EXPECT_EQ(cpu["numa_nodes"], "0-1");
}

TEST_F(FakeMachine, TellsPageSizesAsChosen) {
  file("proc/meminfo", "MemTotal:       1056 kB\nHugePages_Total:      64\nHugepagesize:       2048 kB\n");
  file("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
  const Json memory = look()["memory"];
  EXPECT_EQ(memory["total"], "1056 kB");
  EXPECT_EQ(memory["transparent_hugepages"], "madvise");
  EXPECT_EQ(memory["huge_pages"], "64");
}

TEST_F(FakeMachine, TellsHowTheIommuMaps) {
  file("sys/kernel/iommu_groups/0/type", "DMA-FQ\n");
  file("sys/kernel/iommu_groups/1/type", "identity\n");
  const Json iommu = look()["iommu"];
  EXPECT_EQ(iommu["groups"], 2);
  EXPECT_EQ(iommu["types"], Json::array({"DMA-FQ", "identity"}));
}

TEST_F(FakeMachine, ListsGpusWithTheirLinksAndNothingElse) {
  const std::string gpu = "sys/bus/pci/devices/0000:65:00.0/";
  file(gpu + "class", "0x030200\n");
  file(gpu + "vendor", "0x10de\n");
  file(gpu + "current_link_speed", "32.0 GT/s PCIe\n");
  file(gpu + "current_link_width", "16\n");
  link(gpu + "driver", "../../../../bus/pci/drivers/nvidia");
  link(gpu + "iommu_group", "../../../kernel/iommu_groups/14");
  file("sys/bus/pci/devices/0000:01:00.0/class", "0x020000\n");  // a network card
  const Json gpus = look()["gpus"];
  ASSERT_EQ(gpus.size(), 1u);
  EXPECT_EQ(gpus[0]["pci"], "0000:65:00.0");
  EXPECT_EQ(gpus[0]["link_speed"], "32.0 GT/s PCIe");
  EXPECT_EQ(gpus[0]["driver"], "nvidia");
  EXPECT_EQ(gpus[0]["iommu_group"], "14");
}

TEST_F(FakeMachine, TellsThatItIsAContainer) {
  file("run/.containerenv", "");
  EXPECT_EQ(look()["virtualization"]["container"], "podman");
}

TEST_F(FakeMachine, BytesThatAreNoTextDoNotReachTheFile) {
  file("proc/cmdline", std::string("quiet\x01\xff iommu=pt"));
  EXPECT_EQ(look()["command_line"], "quiet?? iommu=pt");
  EXPECT_NO_THROW(look().dump());
}

TEST(Fingerprint, OfThisMachineHasWhatAReaderNeeds) {
  const Json print = fingerprint("after");
  for (const char* name :
       {"host", "boot", "kernel", "processor", "memory", "pinning", "virtualization", "iommu", "gpus"}) {
    EXPECT_TRUE(print.contains(name)) << name;
  }
  EXPECT_GT(print["processor"]["logical"], 0);
  EXPECT_FALSE(print["pinning"]["processors"].get<std::string>().empty());
}

}  // namespace
}  // namespace nm::bench
