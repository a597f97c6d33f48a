// What is seen on machines of every shape.
#include "inventory/inventory.h"

#include <algorithm>

#include "inventory/scratch.h"

namespace nm::inventory {
namespace {

const Gpu* find(const Inventory& inventory, const std::string& address) {
  for (const Gpu& gpu : inventory.gpus) {
    if (gpu.function.address.text() == address) return &gpu;
  }
  return nullptr;
}

std::vector<std::string> holders_of(const Gpu& gpu) {
  std::vector<std::string> names;
  for (const Holder& holder : gpu.holders) names.push_back(holder.text());
  return names;
}

bool says(const Gpu& gpu, const std::string& part) { return gpu.readiness.text().find(part) != std::string::npos; }

TEST(Inventory, OfADgxHasEightGpusTheirSwitchesAndWhoHoldsThem) {
  const FakeMachine machine("dgx");
  const Inventory inventory = machine.inventory();
  EXPECT_TRUE(inventory.troubles.empty()) << inventory.troubles[0];
  ASSERT_EQ(inventory.gpus.size(), 8u);
  EXPECT_EQ(inventory.nvswitches.size(), 4u);
  const Gpu& gpu = inventory.gpus[2];
  EXPECT_EQ(gpu.model, "NVIDIA H100 80GB HBM3");
  EXPECT_EQ(gpu.uuid, "GPU-00000002-1111-2222-3333-444444444444");
  EXPECT_EQ(gpu.function.numa_node, 0);
  EXPECT_EQ(inventory.gpus[7].function.numa_node, 1);
  EXPECT_EQ(gpu.largest_bar(), uint64_t{128} << 30);
  EXPECT_EQ(gpu.reset_methods, (std::vector<std::string>{"flr", "bus"}));
  EXPECT_EQ(holders_of(gpu),
            (std::vector<std::string>{"nvidia-persistenced (pid 900, persistence daemon)", "python3 (pid 4242)"}));
  EXPECT_EQ(gpu.holders[1].files, std::vector<std::string>{"/dev/nvidia2"});
  EXPECT_EQ(holders_of(inventory.gpus[0])[1], "dcgm-exporter (pid 901, exporter)");
  EXPECT_TRUE(gpu.mig.capable);
  EXPECT_EQ(inventory.gpus[3].mig.instances, 2u);
  EXPECT_EQ(gpu.group.size(), 1u);
  EXPECT_FALSE(gpu.bottleneck);
  EXPECT_EQ(gpu.state, State::host);
  EXPECT_EQ(gpu.readiness.verdict, Verdict::steps);
  ASSERT_EQ(gpu.function.bridges.size(), 3u);
  EXPECT_EQ(gpu.function.bridges[0].text(), "0000:51:00.0");  // the nearest
}

TEST(Inventory, OfACardWithFourFunctionsNamesItsCompanions) {
  const FakeMachine machine("desktop");
  const Inventory inventory = machine.inventory();
  EXPECT_TRUE(inventory.troubles.empty()) << inventory.troubles[0];
  ASSERT_EQ(inventory.gpus.size(), 1u);
  const Gpu& gpu = inventory.gpus[0];
  EXPECT_EQ(gpu.model, "GeForce RTX 3090");
  ASSERT_EQ(gpu.card.size(), 3u);
  EXPECT_EQ(gpu.card[0].kind(), "audio");
  EXPECT_EQ(gpu.card[1].kind(), "USB");
  EXPECT_EQ(gpu.card[2].kind(), "UCSI");
  EXPECT_EQ(gpu.group.size(), 5u);
  EXPECT_EQ(std::count_if(gpu.group.begin(), gpu.group.end(), [](const auto& member) { return member.in_the_way(); }),
            0);
  EXPECT_TRUE(gpu.boot_display);
  EXPECT_EQ(gpu.rom_size, 512u << 10);
  EXPECT_EQ(gpu.monitors, std::vector<std::string>{"HDMI-A-1"});
  EXPECT_EQ(holders_of(gpu), (std::vector<std::string>{"Xorg (pid 812, display)", "pipewire (pid 1300, audio)",
                                                       "fb0 (nouveaudrmfb)", "text console"}));
  EXPECT_EQ(gpu.readiness.verdict, Verdict::steps);
  EXPECT_TRUE(says(gpu, "goes together with 0000:01:00.1 (audio, snd_hda_intel)")) << gpu.readiness.text();
  EXPECT_TRUE(says(gpu, "is the host's only display"));
  ASSERT_TRUE(gpu.bottleneck);
  EXPECT_EQ(gpu.bottleneck->at.text(), "0000:00:01.0");
  EXPECT_EQ(gpu.bottleneck->link.text(), "8.0 GT/s x16");
  ASSERT_EQ(gpu.bars.size(), 4u);
  EXPECT_EQ(gpu.bars[1].possible.front(), uint64_t{256} << 20);
  EXPECT_EQ(gpu.bars[1].possible.back(), uint64_t{16} << 30);
}

TEST(Inventory, OfADirtyGroupNamesWhatIsInTheWay) {
  const FakeMachine machine("desktop-dirty");
  const Inventory inventory = machine.inventory();
  const Gpu& gpu = inventory.gpus.at(0);
  EXPECT_EQ(gpu.readiness.verdict, Verdict::blocked);
  EXPECT_TRUE(says(gpu, "IOMMU group 1 also holds 0000:02:00.0 (NVMe, nvme)")) << gpu.readiness.text();
}

TEST(Inventory, AStrangerWithoutADriverIsNotInTheWay) {
  FakeMachine machine("desktop-dirty");
  std::filesystem::remove(machine.tree.root() / machine.tree.directory_of("0000:02:00.0").substr(1) / "driver");
  EXPECT_EQ(machine.inventory().gpus.at(0).readiness.verdict, Verdict::steps);
}

TEST(Inventory, OfAnApuDoesNotTakeTheProcessorsOwnDevicesForTheGpus) {
  const FakeMachine machine("apu");
  const Inventory inventory = machine.inventory();
  const Gpu& gpu = inventory.gpus.at(0);
  EXPECT_TRUE(gpu.integrated);
  EXPECT_EQ(gpu.model, "Radeon 680M");
  EXPECT_FALSE(says(gpu, "encryption")) << gpu.readiness.text();
  EXPECT_TRUE(says(gpu, "a part of the processor"));
  EXPECT_EQ(holders_of(gpu), std::vector<std::string>{"fb0 (EFI VGA)"});  // the firmware's, on the boot display
}

TEST(Inventory, OfAnA100WithVirtualFunctionsKnowsWhoHasEach) {
  const FakeMachine machine("a100-vfs");
  const Inventory inventory = machine.inventory();
  ASSERT_EQ(inventory.gpus.size(), 5u);
  const Gpu& whole = *find(inventory, "0000:41:00.0");
  ASSERT_TRUE(whole.sriov);
  EXPECT_EQ(whole.sriov->total, 16u);
  EXPECT_EQ(whole.sriov->functions.size(), 4u);
  EXPECT_EQ(whole.readiness.verdict, Verdict::blocked);
  EXPECT_TRUE(says(whole, "4 of its virtual functions exist")) << whole.readiness.text();
  const Gpu& first = *find(inventory, "0000:41:00.4");
  EXPECT_EQ(first.physical_function->text(), "0000:41:00.0");
  EXPECT_EQ(first.state, State::attached);
  EXPECT_EQ(first.attached_to, "VM train1 (pid 77)");
  EXPECT_EQ(find(inventory, "0000:41:00.5")->attached_to, "VM without a name (pid 78)");
  const Gpu& third = *find(inventory, "0000:41:00.6");
  EXPECT_EQ(third.state, State::host);
  ASSERT_EQ(third.vgpu_types.size(), 2u);
  EXPECT_EQ(third.vgpu_types[0].name, "GRID A100-4C");
  EXPECT_EQ(third.vgpu_types[0].available, 1u);
}

TEST(Inventory, OfAGh200ReadsADomainOfItsOwnAndAVendorsVfioDriver) {
  const FakeMachine machine("gh200");
  const Inventory inventory = machine.inventory();
  const Gpu& gpu = inventory.gpus.at(0);
  EXPECT_EQ(gpu.function.address.text(), "0009:01:00.0");
  EXPECT_EQ(gpu.model, "GH200 120GB / 480GB");
  EXPECT_EQ(gpu.state, State::vfio);
  EXPECT_EQ(gpu.readiness.verdict, Verdict::ready) << gpu.readiness.text();
}

TEST(Inventory, OfALaptopLetsASleepingGpuSleep) {
  const FakeMachine machine("laptop");
  const Inventory inventory = machine.inventory();
  ASSERT_EQ(inventory.gpus.size(), 2u);
  EXPECT_TRUE(inventory.gpus[0].integrated);
  EXPECT_TRUE(inventory.gpus[0].boot_display);
  const Gpu& discrete = inventory.gpus[1];
  EXPECT_EQ(discrete.power_state, "D3cold");
  EXPECT_TRUE(discrete.asleep);
  EXPECT_EQ(discrete.state, State::host);   // all ones, because it sleeps: not lost
  EXPECT_EQ(discrete.link_max.text(), "");  // asking for it would wake it
}

TEST(Inventory, OfALaptopSeesWhatIsNarrowerThanTheGpu) {
  FakeMachine machine("laptop");
  machine.tree.file(machine.tree.directory_of("0000:01:00.0") + "power/runtime_status", "active\n");
  machine.tree.file(machine.tree.directory_of("0000:01:00.0") + "config", "\xde\x10\xa2\x25");
  const Inventory inventory = machine.inventory();
  ASSERT_TRUE(inventory.gpus.at(1).bottleneck);
  EXPECT_EQ(inventory.gpus[1].bottleneck->link.text(), "16.0 GT/s x8");
}

TEST(Inventory, DriversThatCouldHaveItAreNamedOnce) {
  FakeMachine machine("desktop");
  machine.tree.file("/lib/modules/6.1.0-test-amd64/modules.alias",
                    "alias pci:v000010DEd*sv*sd*bc03sc*i* nouveau\nalias pci:v000010DEd00002204* nvidia\n");
  machine.tree.file(machine.tree.directory_of("0000:01:00.0") + "modalias",
                    "pci:v000010DEd00002204sv0sd0bc03sc00i00\n");
  EXPECT_EQ(machine.inventory().gpus.at(0).drivers_possible, (std::vector<std::string>{"nouveau", "nvidia"}));
  machine.tree.link(machine.tree.directory_of("0000:01:00.0") + "driver", "../../../../bus/pci/drivers/nouveau-drm");
  EXPECT_EQ(machine.inventory().gpus.at(0).drivers_possible,
            (std::vector<std::string>{"nouveau-drm", "nouveau", "nvidia"}));
  machine.tree.link("/sys/bus/pci/drivers/nouveau-drm/module", "../../../../module/nouveau");
  EXPECT_EQ(machine.inventory().gpus.at(0).drivers_possible, (std::vector<std::string>{"nouveau", "nvidia"}));
}

TEST(Inventory, OfAGpuThatDoesNotAnswerCallsItLost) {
  FakeMachine machine("desktop");
  machine.tree.file(machine.tree.directory_of("0000:01:00.0") + "config", "\xff\xff\xff\xff");
  const Inventory inventory = machine.inventory();
  EXPECT_EQ(inventory.gpus.at(0).state, State::lost);
  EXPECT_EQ(inventory.gpus[0].readiness.verdict, Verdict::blocked);
}

TEST(Inventory, OfAGuestSaysThatItIsOne) {
  const FakeMachine machine("guest");
  const Inventory inventory = machine.inventory();
  EXPECT_EQ(inventory.virtual_machine, "QEMU");
  EXPECT_FALSE(inventory.iommu);
  EXPECT_EQ(inventory.gpus.at(0).readiness.verdict, Verdict::blocked);
  EXPECT_TRUE(says(inventory.gpus[0], "virtual machine")) << inventory.gpus[0].readiness.text();
}

TEST(Inventory, WithoutAnIommuPointsToTheDoctor) {
  const FakeMachine machine("no-iommu");
  const Inventory inventory = machine.inventory();
  EXPECT_FALSE(inventory.gpus.at(0).function.iommu_group);
  EXPECT_TRUE(inventory.gpus[0].group.empty());
  EXPECT_TRUE(says(inventory.gpus[0], "nearmetal doctor")) << inventory.gpus[0].readiness.text();
}

TEST(Inventory, OfAHostWithoutGpusIsEmpty) {
  const FakeMachine machine("none");
  const Inventory inventory = machine.inventory();
  EXPECT_TRUE(inventory.gpus.empty());
  EXPECT_TRUE(inventory.troubles.empty());
  const Scratch nothing;
  EXPECT_TRUE(take_inventory(DirectoryHost(nothing.path())).gpus.empty());
}

TEST(Inventory, TheFirmwaresFramebufferIsInTheGpuWhoseMemoryItLiesIn) {
  FakeMachine machine("laptop");
  const Inventory before = machine.inventory();
  machine.tree.file("/sys/class/graphics/fb0/name", "simpledrmdrmfb\n");
  machine.tree.file("/proc/iomem", "00000000-00000fff : Reserved\n  00000000-00000000 : BOOTFB\n");
  EXPECT_EQ(machine.inventory().gpus[0].holders.size(), 1u);  // no address: the boot display
  char line[100];
  snprintf(line, sizeof line, "      %08llx-%08llx : BOOTFB\n",
           static_cast<unsigned long long>(before.gpus[1].bars[1].address + 4096),
           static_cast<unsigned long long>(before.gpus[1].bars[1].address + 8191));
  machine.tree.file("/proc/iomem", line);
  const Inventory after = machine.inventory();
  EXPECT_EQ(after.gpus[0].holders.size(), 0u);
  EXPECT_EQ(holders_of(after.gpus[1]), std::vector<std::string>{"fb0 (simpledrmdrmfb)"});
}

}  // namespace
}  // namespace nm::inventory
