// The machines of the tests, each as real ones of its kind are built: slots, groups, BARs and drivers are what lspci
// and sysfs show there, as far as it matters here.
#include <fmt/format.h>

#include <functional>
#include <map>

#include "inventory/fake_host.h"

namespace nm::inventory {
namespace {

constexpr uint64_t kMiB = 1 << 20, kGiB = 1 << 30;

constexpr const char* kIds =
    "# a few lines of a pci.ids\n"
    "1002  Advanced Micro Devices, Inc. [AMD/ATI]\n"
    "\t1681  Rembrandt [Radeon 680M]\n"
    "10de  NVIDIA Corporation\n"
    "\t20b0  GA100 [A100 SXM4 40GB]\n"
    "\t2204  GA102 [GeForce RTX 3090]\n"
    "\t\t1028 1234  a board of somebody's\n"
    "\t2330  GH100 [H100 SXM5 80GB]\n"
    "\t2342  GH100 [GH200 120GB / 480GB]\n"
    "8086  Intel Corporation\n"
    "\t46a6  Alder Lake-P GT2 [Iris Xe Graphics]\n"
    "C 03  Display controller\n";

void vfio_and_kvm(FakeHost& host) {
  host.file("/dev/kvm", "");
  host.file("/usr/bin/qemu-system-x86_64", "");
  host.directory("/sys/module/vfio_pci");
  host.file("/dev/vfio/vfio", "");
  host.file("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "N\n");
  host.file("/sys/module/kvm_intel/parameters/nested", "Y\n");
}

void server_base(FakeHost& host) {
  host.pci_ids(kIds);
  host.processor("GenuineIntel", "vmx ept", "BOOT_IMAGE=/boot/vmlinuz root=/dev/sda1 intel_iommu=on iommu=pt");
  host.file("/proc/interrupts", "           CPU0\n 24:        0  IR-PCI-MSI 0-edge  nvme0q0\n");
  host.file("/etc/os-release", "ID=debian\n");
  host.file("/etc/default/grub", "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet intel_iommu=on iommu=pt\"\n");
  host.file("/proc/meminfo", "MemTotal:       131072000 kB\nHugePages_Total:    1024\nHugepagesize:       2048 kB\n");
  vfio_and_kvm(host);
}

// Two sockets, eight GPUs each behind its own switch port, four NVSwitches; persistence daemon and exporter run.
void dgx(FakeHost& host) {
  server_base(host);
  const int buses[] = {0x1b, 0x43, 0x52, 0x61, 0x9d, 0xc3, 0xd1, 0xdf};
  host.file("/sys/devices/system/node/node0/cpulist", "0-55,112-167\n");
  host.file("/sys/devices/system/node/node1/cpulist", "56-111,168-223\n");
  std::vector<std::string> all;
  for (int i = 0; i < 8; ++i) {
    const std::string port = fmt::format("0000:{:02x}:01.0", buses[i] - 3);
    const std::string up = fmt::format("0000:{:02x}:00.0", buses[i] - 2);
    const std::string down = fmt::format("0000:{:02x}:00.0", buses[i] - 1);
    const std::string gpu = fmt::format("0000:{:02x}:00.0", buses[i]);
    const int node = i < 4 ? 0 : 1;
    for (const auto& [address, above] :
         {std::pair{port, std::vector<std::string>{}}, {up, {port}}, {down, {port, up}}}) {
      host.add({.address = address,
                .bridges = above,
                .vendor = "8086",
                .device = "352a",
                .class_code = "060400",
                .driver = "pcieport",
                .group = 10 + 4 * i + static_cast<int>(above.size()),
                .numa = node,
                .speed_max = "32.0 GT/s PCIe",
                .width_max = "16"});
    }
    host.add({.address = gpu,
              .bridges = {port, up, down},
              .device = "2330",
              .class_code = "030200",
              .driver = "nvidia",
              .group = 13 + 4 * i,
              .numa = node,
              .bars = {{16 * kMiB, kBar64}, {0, 0}, {128 * kGiB, kBar64}, {0, 0}, {32 * kMiB, kBar64}},
              .reset = "flr bus",
              .speed_max = "32.0 GT/s PCIe",
              .width_max = "16"});
    host.file(
        fmt::format("/proc/driver/nvidia/gpus/{}/information", gpu),
        fmt::format("Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 18\nGPU UUID: \t GPU-0000000{}-1111-2222-3333-"
                    "444444444444\nBus Type: \t PCIe\nBus Location: \t {}\nDevice Minor: \t {}\n",
                    i, gpu, i));
    host.directory(fmt::format("/proc/driver/nvidia/capabilities/gpu{}/mig", i));
    all.push_back(fmt::format("/dev/nvidia{}", i));
  }
  host.file("/proc/driver/nvidia/capabilities/gpu3/mig/gi1/access", "DeviceFileMinor: 30\n");
  host.file("/proc/driver/nvidia/capabilities/gpu3/mig/gi2/access", "DeviceFileMinor: 39\n");
  for (int i = 0; i < 4; ++i) {
    host.add({.address = fmt::format("0000:0{}:00.0", 5 + i),
              .vendor = "10de",
              .device = "22a3",
              .class_code = "068000",
              .driver = "nvidia-nvswitch",
              .group = 60 + i,
              .numa = 0,
              .bars = {{32 * kMiB, kBar64}},
              .reset = "flr"});
  }
  host.process(900, "nvidia-persistenced", all);
  host.process(901, "dcgm-exporter", {"/dev/nvidia0", "/dev/nvidiactl"});
  host.process(4242, "python3", {"/dev/nvidia2", "/dev/nvidia2", "/dev/nvidia-uvm", "socket:[1]"});
}

// A card with the four functions of GeForce RTX 20: graphics, audio, USB and the USB-C port's controller.
void four_functions(FakeHost& host, int group, int other_group, bool boot) {
  const std::vector<std::string> above = {"0000:00:01.0"};
  host.add({.address = "0000:01:00.0",
            .bridges = above,
            .driver = "nouveau",
            .group = group,
            .bars = {{16 * kMiB, kBar32}, {256 * kMiB, kBar64}, {0, 0}, {32 * kMiB, kBar64}, {0, 0}, {128, 0x40101}},
            .rom = 512 << 10,
            .reset = "bus",
            .speed = "2.5 GT/s PCIe",
            .speed_max = "16.0 GT/s PCIe",
            .width_max = "16",
            .boot_vga = boot});
  host.add({.address = "0000:01:00.1",
            .bridges = above,
            .device = "1aef",
            .class_code = "040300",
            .driver = "snd_hda_intel",
            .group = group,
            .bars = {{16 << 10, kBar32}}});
  host.add({.address = "0000:01:00.2",
            .bridges = above,
            .device = "1ad6",
            .class_code = "0c0330",
            .driver = "xhci_hcd",
            .group = group,
            .bars = {{256 << 10, kBar64}}});
  host.add({.address = "0000:01:00.3",
            .bridges = above,
            .device = "1ad7",
            .class_code = "0c8000",
            .driver = "nvidia-gpu",
            .group = group,
            .bars = {{4096, kBar32}}});
  host.file(host.directory_of("0000:01:00.0") + "resource1_resize", "0000000000007f00\n");  // 256 MiB to 16 GiB
  host.file(host.directory_of("0000:01:00.0") + "drm/card0/card0-HDMI-A-1/status", "connected\n");
  host.file(host.directory_of("0000:01:00.0") + "drm/card0/card0-DP-1/status", "disconnected\n");
  host.directory(host.directory_of("0000:01:00.0") + "drm/renderD128");
  host.directory(host.directory_of("0000:01:00.1") + "sound/card1");
  host.add({.address = "0000:00:01.0",
            .vendor = "8086",
            .device = "1901",
            .class_code = "060400",
            .driver = "pcieport",
            .group = group,
            .speed_max = "8.0 GT/s PCIe",
            .width_max = "16"});
  host.add({.address = "0000:02:00.0",
            .bridges = {"0000:00:01.1"},
            .vendor = "144d",
            .device = "a808",
            .class_code = "010802",
            .driver = "nvme",
            .group = other_group});
}

void desktop(FakeHost& host, bool dirty) {
  server_base(host);
  four_functions(host, 1, dirty ? 1 : 2, true);
  host.process(812, "Xorg", {"/dev/dri/card0", "/dev/dri/card0"});
  host.process(1300, "pipewire", {"/dev/snd/controlC1", "/dev/snd/controlC0"});
  host.link("/sys/class/graphics/fb0", "../../devices/virtual/graphics/fb0");
  host.file("/sys/devices/virtual/graphics/fb0/name", "nouveaudrmfb\n");
  host.link("/sys/devices/virtual/graphics/fb0/device", "../../../pci0000:00/0000:00:01.0/0000:01:00.0");
  host.file("/sys/class/vtconsole/vtcon1/name", "(M) frame buffer device\n");
  host.file("/sys/class/vtconsole/vtcon1/bind", "1\n");
}

void apu(FakeHost& host) {
  server_base(host);
  host.processor("AuthenticAMD", "svm npt", "root=/dev/nvme0n1p2");
  const std::vector<std::string> above = {"0000:00:08.1"};
  host.add({.address = "0000:33:00.0",
            .bridges = above,
            .vendor = "1002",
            .device = "1681",
            .class_code = "030000",
            .driver = "amdgpu",
            .group = 20,
            .bars = {{256 * kMiB, kBar64}, {0, 0}, {2 * kMiB, kBar64}},
            .speed_max = "16.0 GT/s PCIe",
            .width_max = "16",
            .boot_vga = true});
  host.add({.address = "0000:33:00.1",
            .bridges = above,
            .vendor = "1002",
            .device = "1640",
            .class_code = "040300",
            .driver = "snd_hda_intel",
            .group = 21});
  host.add({.address = "0000:33:00.2",
            .bridges = above,
            .vendor = "1022",
            .device = "1649",
            .class_code = "108000",
            .driver = "ccp",
            .group = 22});
  host.add({.address = "0000:33:00.3",
            .bridges = above,
            .vendor = "1022",
            .device = "161d",
            .class_code = "0c0330",
            .driver = "xhci_hcd",
            .group = 23});
  host.link("/sys/class/graphics/fb0", "../../devices/platform/efi-framebuffer.0/graphics/fb0");
  host.file("/sys/devices/platform/efi-framebuffer.0/graphics/fb0/name", "EFI VGA\n");
  host.link("/sys/devices/platform/efi-framebuffer.0/graphics/fb0/device", "../../../efi-framebuffer.0");
}

// An A100 cut into virtual functions, two of them with a guest each.
void a100_vfs(FakeHost& host) {
  server_base(host);
  const std::vector<std::string> above = {"0000:40:01.0"};
  host.add({.address = "0000:41:00.0",
            .bridges = above,
            .device = "20b0",
            .class_code = "030200",
            .driver = "nvidia",
            .group = 40,
            .numa = 1,
            .bars = {{16 * kMiB, kBar64}, {0, 0}, {64 * kGiB, kBar64}},
            .reset = "flr bus",
            .speed_max = "16.0 GT/s PCIe",
            .width_max = "16"});
  const std::string at = host.directory_of("0000:41:00.0");
  host.file(at + "sriov_totalvfs", "16\n");
  host.file(at + "sriov_numvfs", "4\n");
  for (int i = 0; i < 4; ++i) {
    const std::string address = fmt::format("0000:41:00.{}", 4 + i);
    host.add({.address = address,
              .bridges = above,
              .device = "20b0",
              .class_code = "030200",
              .driver = i < 2 ? "vfio-pci" : "nvidia",
              .group = 41 + i,
              .numa = 1,
              .reset = "flr"});
    host.link(at + fmt::format("virtfn{}", i), "../" + address);
    host.link(host.directory_of(address) + "physfn", "../0000:41:00.0");
    for (const char* type : {"nvidia-468", "nvidia-469"}) {
      const std::string types = host.directory_of(address) + "mdev_supported_types/" + type + "/";
      host.file(types + "name", std::string("GRID A100-") + (type[9] == '8' ? "4C\n" : "8C\n"));
      host.file(types + "available_instances", i == 2 ? "1\n" : "0\n");
    }
  }
  host.process(77, "qemu-system-x86", {"/dev/kvm", "/dev/vfio/vfio", "/dev/vfio/41"},
               {"/usr/bin/qemu-system-x86_64", "-name", "guest=train1,debug-threads=on", "-device",
                "{\"driver\":\"vfio-pci\",\"host\":\"0000:41:00.4\",\"id\":\"hostdev0\"}"});
  host.process(78, "cloud-hypervisor", {"/dev/vfio/42"});
}

// Grace and Hopper: an Arm host, the GPU at a domain of its own, coherent with the processor besides its PCIe link.
void gh200(FakeHost& host) {
  host.pci_ids(kIds);
  host.file("/proc/cpuinfo", "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU architecture: 8\n\n");
  host.file("/proc/cmdline", "root=/dev/nvme0n1p2 iommu.passthrough=1\n");
  host.file("/etc/os-release", "ID=ubuntu\nID_LIKE=debian\n");
  vfio_and_kvm(host);
  host.add({.address = "0009:00:00.0",
            .vendor = "10de",
            .device = "22b8",
            .class_code = "060400",
            .driver = "pcieport",
            .group = 18,
            .numa = 0});
  host.add({.address = "0009:01:00.0",
            .bridges = {"0009:00:00.0"},
            .device = "2342",
            .class_code = "030200",
            .driver = "nvgrace_gpu_vfio_pci",
            .group = 19,
            .numa = 0,
            .bars = {{16 * kMiB, kBar64}, {0, 0}, {128 * kGiB, kBar64}, {0, 0}, {32 * kMiB, kBar64}},
            .reset = "flr bus",
            .speed_max = "32.0 GT/s PCIe",
            .width_max = "1"});
}

void laptop(FakeHost& host) {
  server_base(host);
  host.add({.address = "0000:00:02.0",
            .vendor = "8086",
            .device = "46a6",
            .class_code = "030000",
            .driver = "i915",
            .group = 0,
            .bars = {{16 * kMiB, kBar64}, {0, 0}, {256 * kMiB, kBar64}},
            .boot_vga = true});
  host.add({.address = "0000:01:00.0",
            .bridges = {"0000:00:01.0"},
            .device = "25a2",
            .class_code = "030200",
            .driver = "nvidia",
            .group = 15,
            .bars = {{16 * kMiB, kBar32}, {4 * kGiB, kBar64}},
            .reset = "bus",
            .speed = "2.5 GT/s PCIe",
            .speed_max = "16.0 GT/s PCIe",
            .width = "8",
            .width_max = "16"});
  host.add({.address = "0000:01:00.1",
            .bridges = {"0000:00:01.0"},
            .device = "2291",
            .class_code = "040300",
            .driver = "snd_hda_intel",
            .group = 15});
  host.add({.address = "0000:00:01.0",
            .vendor = "8086",
            .device = "460d",
            .class_code = "060400",
            .driver = "pcieport",
            .group = 1,
            .speed_max = "16.0 GT/s PCIe",
            .width_max = "8"});
  host.file(host.directory_of("0000:01:00.0") + "power/runtime_status", "suspended\n");
  host.file(host.directory_of("0000:01:00.0") + "power_state", "D3cold\n");
  host.file(host.directory_of("0000:01:00.0") + "config", "\xff\xff\xff\xff");
}

void guest(FakeHost& host) {
  host.pci_ids(kIds);
  host.processor("AuthenticAMD", "hypervisor", "root=/dev/vda1");
  host.file("/sys/class/dmi/id/sys_vendor", "QEMU\n");
  host.directory("/sys/kernel/iommu_groups");
  host.file("/etc/os-release", "ID=rocky\nID_LIKE=\"rhel fedora\"\n");
  host.add({.address = "0000:05:00.0",
            .bridges = {"0000:00:02.4"},
            .device = "2204",
            .class_code = "030000",
            .driver = "nvidia",
            .bars = {{16 * kMiB, kBar32}, {32 * kGiB, kBar64}},
            .reset = "bus"});
}

void none(FakeHost& host) {
  server_base(host);
  host.add({.address = "0000:00:1f.0", .vendor = "8086", .device = "a0a0", .class_code = "060100", .group = 3});
}

void no_iommu(FakeHost& host) {
  server_base(host);
  host.processor("GenuineIntel", "vmx ept", "root=/dev/sda1 quiet");
  host.file("/etc/default/grub", "GRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n");
  host.file("/proc/interrupts", "           CPU0\n 24:        0  PCI-MSI 0-edge  nvme0q0\n");
  host.directory("/sys/kernel/iommu_groups");
  four_functions(host, -1, -1, false);
}

const std::map<std::string, std::function<void(FakeHost&)>>& shapes() {
  static const std::map<std::string, std::function<void(FakeHost&)>> all = {
      {"dgx", dgx},
      {"desktop", [](FakeHost& host) { desktop(host, false); }},
      {"desktop-dirty", [](FakeHost& host) { desktop(host, true); }},
      {"apu", apu},
      {"a100-vfs", a100_vfs},
      {"gh200", gh200},
      {"laptop", laptop},
      {"guest", guest},
      {"none", none},
      {"no-iommu", no_iommu},
  };
  return all;
}

}  // namespace

bool make_fake_host(const std::string& shape, FakeHost& host) {
  const auto found = shapes().find(shape);
  if (found == shapes().end()) return false;
  found->second(host);
  return true;
}

std::vector<std::string> fake_host_shapes() {
  std::vector<std::string> names;
  for (const auto& [name, make] : shapes()) names.push_back(name);
  return names;
}

}  // namespace nm::inventory
