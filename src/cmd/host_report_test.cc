#include "cmd/host_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "inventory/scratch.h"

namespace nm::cmd {
namespace {

bool has(const std::vector<std::string>& lines, const std::string& part) {
  return std::any_of(lines.begin(), lines.end(),
                     [&](const auto& line) { return line.find(part) != std::string::npos; });
}

TEST(HostReport, TheTableHasARowForEachGpu) {
  const inventory::FakeMachine machine("dgx");
  const auto lines = inventory_table(machine.inventory(), false);
  ASSERT_EQ(lines.size(), 9u);
  EXPECT_TRUE(lines[0].starts_with("PCI"));
  EXPECT_TRUE(lines[1].starts_with("0000:1b:00.0  NVIDIA H100 80GB HBM3  0"));
  EXPECT_TRUE(has(lines, "nvidia-persistenced (pid 900, persistence daemon) and 1 more"));
}

TEST(HostReport, TheDetailsNameWhatTheTableHasNoRoomFor) {
  const inventory::FakeMachine machine("desktop-dirty");
  const auto lines = inventory_details(machine.inventory(), false);
  EXPECT_TRUE(has(lines, "because       IOMMU group 1 also holds 0000:02:00.0 (NVMe, nvme)"));
  EXPECT_TRUE(has(lines, "0000:02:00.0 NVMe, nvme (in the way)"));
  EXPECT_TRUE(has(lines, "1: 256 MiB 64-bit prefetchable (can be 256 MiB to 16 GiB)"));
  EXPECT_TRUE(has(lines, "2.5 GT/s x16 now, 16.0 GT/s x16 at most"));
  EXPECT_TRUE(has(lines, "0000:00:01.0 carries only 8.0 GT/s x16 (15.8 of 31.5 GB/s)"));
  EXPECT_TRUE(has(lines, "Xorg (pid 812, display): /dev/dri/card0"));
}

TEST(HostReport, ColourIsAddedAndNothingElseChanged) {
  const inventory::FakeMachine machine("desktop");
  std::string plain, coloured;
  for (const auto& line : inventory_details(machine.inventory(), false)) plain += line + "\n";
  for (const auto& line : inventory_details(machine.inventory(), true)) coloured += line + "\n";
  EXPECT_NE(plain, coloured);
  for (size_t at; (at = coloured.find('\033')) != std::string::npos;)
    coloured.erase(at, coloured.find('m', at) - at + 1);
  EXPECT_EQ(plain, coloured);
}

TEST(HostReport, JsonHasWhatProgramsDecideBy) {
  const inventory::FakeMachine machine("a100-vfs");
  const auto json = inventory_json(machine.inventory());
  ASSERT_EQ(json["gpus"].size(), 5u);
  const auto& whole = json["gpus"][0];
  EXPECT_EQ(whole["readiness"]["verdict"], "not ready");
  EXPECT_EQ(whole["sriov"]["functions"].size(), 4u);
  EXPECT_EQ(whole["iommu_group"]["number"], 40);
  EXPECT_EQ(whole["bars"][1]["bytes"], uint64_t{64} << 30);
  EXPECT_EQ(json["gpus"][1]["attached_to"], "VM train1 (pid 77)");
  EXPECT_EQ(json["gpus"][1]["holders"][0]["guest"], "train1");
  EXPECT_EQ(json["gpus"][1]["physical_function"], "0000:41:00.0");
  EXPECT_EQ(json["gpus"][3]["mediated_devices"].size(), 2u);
}

TEST(HostReport, AHostWithoutGpusSaysSo) {
  const inventory::FakeMachine machine("none");
  EXPECT_EQ(inventory_table(machine.inventory(), false), std::vector<std::string>{"This host has no GPU."});
  EXPECT_EQ(inventory_json(machine.inventory())["gpus"].dump(), "[]");
}

TEST(HostReport, SizesAreWholeNumbers) {
  EXPECT_EQ(size_text(uint64_t{128} << 30), "128 GiB");
  EXPECT_EQ(size_text(128), "128 B");
  EXPECT_EQ(size_text(1536), "1536 B");
  EXPECT_EQ(size_text(0), "0 B");
}

}  // namespace
}  // namespace nm::cmd
