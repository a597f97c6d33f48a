// Directory trees that look like real machines, for tests: what sysfs, procfs, /etc and /dev have there of what we
// read. Written by a generator, because a machine has thousands of these files and its shape is a dozen lines.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace nm::inventory {

// One PCI function, as a machine's `lspci` would tell it.
struct FakeFunction {
  std::string address;               // "0000:01:00.0"
  std::vector<std::string> bridges;  // from the root port down
  std::string vendor = "10de", device = "2204", class_code = "030000";
  std::string driver = {};
  int group = -1;
  int numa = -1;
  std::vector<std::pair<uint64_t, uint64_t>> bars = {};  // size, flags; one line each
  uint64_t rom = 0;
  std::string reset = {};                  // of reset_method; empty: no such file
  std::string speed = {}, speed_max = {};  // "16.0 GT/s PCIe"
  std::string width = {}, width_max = {};
  bool boot_vga = false;
};

inline constexpr uint64_t kBar32 = 0x40200, kBar64 = 0x14220c;  // not prefetchable; prefetchable with 64 bits

class FakeHost {
 public:
  explicit FakeHost(std::filesystem::path root) : root_(std::move(root)) {}

  const std::filesystem::path& root() const { return root_; }
  void file(const std::string& path, const std::string& text);
  void link(const std::string& path, const std::string& target);
  void directory(const std::string& path);
  void add(const FakeFunction& function);
  std::string directory_of(const std::string& address) const;  // below /sys/devices
  // `files` are what it has open; `arguments` its command line.
  void process(int pid, const std::string& name, const std::vector<std::string>& files,
               const std::vector<std::string>& arguments = {});
  // A processor, a kernel and its command line, with virtualization switched on and the IOMMU's groups, if any function
  // has one.
  void processor(const std::string& vendor, const std::string& flags, const std::string& cmdline);
  void pci_ids(const std::string& text) { file("/usr/share/misc/pci.ids", text); }

 private:
  std::filesystem::path root_;
  std::vector<std::pair<std::string, std::string>> places_;
  uint64_t next_address_ = 0x38'0000'0000;
};

// The machines that have a name here; false: there is none of that name.
bool make_fake_host(const std::string& shape, FakeHost& host);
std::vector<std::string> fake_host_shapes();

}  // namespace nm::inventory
