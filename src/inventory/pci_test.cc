// The pure parts: addresses, lines of `resource`, links, names, command lines.
#include "inventory/pci.h"

#include <gtest/gtest.h>

#include "inventory/holders.h"
#include "inventory/names.h"

namespace nm::inventory {
namespace {

TEST(PciAddress, ReadsWhatTheKernelAndOtherToolsWrite) {
  EXPECT_EQ(parse_pci_address("0000:65:00.1")->text(), "0000:65:00.1");
  EXPECT_EQ(parse_pci_address("65:00.0")->text(), "0000:65:00.0");
  EXPECT_EQ(parse_pci_address("00000000:C3:1F.7")->text(), "0000:c3:1f.7");
  EXPECT_EQ(parse_pci_address("10000:01:00.0")->text(), "10000:01:00.0");
}

TEST(PciAddress, RefusesWhatIsNone) {
  for (const char* text :
       {"", ":", "0000:65:00", "0000:65:20.0", "0000:65:00.8", "0000:65:00.0 ", "x:65:00.0", "65.00:0", "0000:165:00.0",
        "-1:65:00.0", "0000:65:00.0.0", "0000:0000:65:00.0", "0x00:65:00.0"}) {
    EXPECT_FALSE(parse_pci_address(text)) << text;
  }
}

TEST(PciAddress, FunctionsOfOneSlotBelongTogether) {
  EXPECT_TRUE(parse_pci_address("01:00.0")->same_slot(*parse_pci_address("01:00.3")));
  EXPECT_FALSE(parse_pci_address("01:00.0")->same_slot(*parse_pci_address("01:01.0")));
  EXPECT_LT(*parse_pci_address("01:00.0"), *parse_pci_address("01:00.1"));
}

TEST(Resources, TellSizeWidthAndPrefetchability) {
  uint64_t rom = 0;
  std::vector<std::string> trouble;
  const auto bars = parse_resources(
      "0x00000000f6000000 0x00000000f6ffffff 0x0000000000040200\n"
      "0x000000e000000000 0x000000efffffffff 0x000000000014220c\n"
      "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
      "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
      "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
      "0x000000000000e000 0x000000000000e07f 0x0000000000040101\n"
      "0x00000000f7000000 0x00000000f707ffff 0x0000000000046200\n",
      rom, trouble);
  ASSERT_EQ(bars.size(), 3u);
  EXPECT_EQ(bars[0].size, 16u << 20);
  EXPECT_FALSE(bars[0].wide || bars[0].prefetchable || bars[0].io);
  EXPECT_EQ(bars[1].index, 1);
  EXPECT_EQ(bars[1].size, uint64_t{64} << 30);
  EXPECT_TRUE(bars[1].wide && bars[1].prefetchable);
  EXPECT_TRUE(bars[2].io);
  EXPECT_EQ(rom, 512u << 10);
  EXPECT_TRUE(trouble.empty());
}

TEST(Resources, SaysWhatLineMakesNoSense) {
  uint64_t rom = 0;
  std::vector<std::string> trouble;
  EXPECT_TRUE(parse_resources("0x10 0x0f 0x200\nbla\n0x1 0x2\n\xff\xfe\n", rom, trouble).empty());
  EXPECT_EQ(trouble.size(), 5u);  // the four lines, and that there are too few
}

TEST(Links, AreReadFromEveryKernelsWords) {
  EXPECT_EQ(parse_link("16.0 GT/s PCIe", "16").text(), "16.0 GT/s x16");
  EXPECT_EQ(parse_link("2.5 GT/s", "4").text(), "2.5 GT/s x4");
  EXPECT_EQ(parse_link("8 GT/s", "8").text(), "8.0 GT/s x8");
  EXPECT_NEAR(parse_link("16.0 GT/s PCIe", "16").gigabytes(), 31.5, 0.1);
  EXPECT_NEAR(parse_link("2.5 GT/s PCIe", "1").gigabytes(), 0.25, 0.001);
  for (const char* width : {"0", "255", "", "-3"}) EXPECT_EQ(parse_link("16.0 GT/s PCIe", width).text(), "");
  EXPECT_EQ(parse_link("Unknown", "16").text(), "");
}

TEST(Names, AreFoundUnderTheirVendorOnly) {
  const std::string ids =
      "# comment\n1002  AMD\n\t2204  not this one\n10de  NVIDIA Corporation\n\t2204  GA102 [GeForce RTX 3090]\n"
      "\t\t1028 2205  a board\n\t2205  another\nffff  Illegal Vendor ID\nC 10  Encryption\n";
  EXPECT_EQ(find_pci_name(ids, 0x10de, 0x2204).device, "GA102 [GeForce RTX 3090]");
  EXPECT_EQ(find_pci_name(ids, 0x10de, 0x2204).vendor, "NVIDIA Corporation");
  EXPECT_EQ(find_pci_name(ids, 0x10de, 0x9999).device, "");
  EXPECT_EQ(find_pci_name(ids, 0xffff, 0x2204).device, "");
  EXPECT_EQ(find_pci_name("", 0x10de, 0x2204).vendor, "");
}

TEST(Names, DriversAreThoseWhoseAliasMatches) {
  const std::string aliases =
      "# Aliases extracted from modules themselves.\n"
      "alias pci:v000010DEd*sv*sd*bc03sc00i00* nouveau\n"
      "alias pci:v000010DEd*sv*sd*bc03sc00i00* nvidia\n"
      "alias pci:v00001002d*sv*sd*bc03sc00i00* amdgpu\n"
      "alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\n"
      "alias usb:v* other\n";
  EXPECT_EQ(drivers_for(aliases, "pci:v000010DEd00002204sv00001028sd00001234bc03sc00i00"),
            (std::vector<std::string>{"nouveau", "nvidia", "vfio_pci"}));
}

std::string line_of(const std::vector<std::string>& arguments) {
  std::string line;
  for (const auto& argument : arguments) line += argument + '\0';
  return line;
}

TEST(QemuLine, NamesTheGuestAndItsDevices) {
  const auto plain = parse_qemu_line(line_of({"qemu", "-name", "train1", "-device", "vfio-pci,host=65:00.0,id=a"}));
  EXPECT_EQ(plain.name, "train1");
  ASSERT_EQ(plain.devices.size(), 1u);
  EXPECT_EQ(plain.devices[0].text(), "0000:65:00.0");
  const auto libvirt =
      parse_qemu_line(line_of({"qemu", "-name", "guest=a,,b,debug-threads=on", "-device",
                               "{\"driver\":\"vfio-pci\",\"host\":\"0000:c3:00.0\",\"id\":\"hostdev0\"}", "-device",
                               "virtio-net,host=65:00.0"}));
  EXPECT_EQ(libvirt.name, "a,b");
  ASSERT_EQ(libvirt.devices.size(), 1u);
  EXPECT_EQ(libvirt.devices[0].text(), "0000:c3:00.0");
  EXPECT_EQ(parse_qemu_line("-name").name, "");
  EXPECT_EQ(parse_qemu_line(line_of({"qemu", "-device", "vfio-pci,host=..."})).devices.size(), 0u);
}

}  // namespace
}  // namespace nm::inventory
