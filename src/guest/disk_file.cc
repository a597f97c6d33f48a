#include "guest/disk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/fd.h"
#include "inventory/reader.h"

namespace nm::guest {
namespace {

struct Format {
  std::string_view first_bytes, name;
  bool usable;
};
// Others run, too, but slowly: QEMU itself advises against them.
constexpr Format kFormats[] = {
    {{"QFI\xfb\0\0\0\3", 8}, "qcow2", true},
    {{"QFI\xfb\0\0\0\2", 8}, "qcow2", true},
    {{"QFI\xfb\0\0\0\1", 8}, "qcow", false},
    {"KDMV", "vmdk", false},
    {"# Disk DescriptorFile", "vmdk", false},
    {"vhdxfile", "vhdx", false},
    {"conectix", "vpc", false},
    {"<<< ", "vdi", false},
};

}  // namespace

Result<Disk> look_at_disk(const std::string& path) {
  const std::string shown = inventory::clean(path, 300);
  std::error_code error;
  Disk disk{.path = std::filesystem::absolute(path, error).string()};
  struct stat stat = {};
  if (error || path.empty() || ::stat(path.c_str(), &stat) != 0) {
    return Error{
        fmt::format("There is no disk {}: {}. Make an empty one with: qemu-img create -f qcow2 disk.qcow2 100G", shown,
                    strerror(path.empty() ? ENOENT : errno))};
  }
  if (!S_ISREG(stat.st_mode) && !S_ISBLK(stat.st_mode)) {
    return Error{fmt::format("{} is neither a file nor a block device, so it cannot be a guest's disk.", shown)};
  }
  const Fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!file) {
    return Error{fmt::format("You may not read and write {}: {}. Change its owner or mode, or run this as its owner.",
                             shown, strerror(errno))};
  }
  char first[32] = {};
  const ssize_t got = ::pread(file.get(), first, sizeof first, 0);
  if (got < 0) return Error{fmt::format("{} cannot be read: {}.", shown, strerror(errno))};
  if (got == 0 && S_ISREG(stat.st_mode)) {
    return Error{fmt::format("{} is empty. Make a disk with: qemu-img create -f qcow2 {} 100G", shown, shown)};
  }
  for (const Format& format : kFormats) {
    if (!std::string_view(first, static_cast<size_t>(got)).starts_with(format.first_bytes)) continue;
    if (!format.usable) {
      return Error{
          fmt::format("{} is a disk of the format {}. Convert it first: qemu-img convert -O qcow2 {} disk.qcow2", shown,
                      format.name, shown)};
    }
    disk.format = format.name;
  }
  // Some file systems (tmpfs, until lately) know no direct access.
  disk.direct = static_cast<bool>(Fd(::open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC | O_NONBLOCK)));
  return disk;
}

}  // namespace nm::guest
