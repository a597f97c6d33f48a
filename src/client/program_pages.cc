#include "client/program_pages.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <string>

#include "client/areas.h"

namespace nm::client {
namespace {

constexpr uint64_t kPage = 4096;

uint64_t word_at(uint64_t address) {
  uint64_t value;
  memcpy(&value, reinterpret_cast<const void*>(address), sizeof value);
  return value;
}

// Large blocks of glibc's malloc are mappings of their own, which begin and end with a page. The two words before a
// block say so (free() reads and checks the same). Should other bytes look like that, then pages are moved that are not
// only the block's; what it could do harm to is a child that uses them in a handler of pthread_atfork.
bool is_block_of_its_own(uint64_t address, const Pages& pages) {
  constexpr uint64_t kFlags = 7, kIsMapped = 2, kHeader = 16;
  if (address % kHeader || address - pages.first < kHeader) return false;
  const uint64_t before = word_at(address - 16), size = word_at(address - 8);
  if ((size & kFlags) != kIsMapped || before > address - kHeader) return false;
  const uint64_t begin = address - kHeader - before, length = before + (size & ~kFlags);
  return begin % kPage == 0 && length % kPage == 0 && begin <= pages.first &&
         length >= pages.first + pages.size - begin;
}

// Memory of the heap, or anonymous, of which nothing special is known to the kernel.
bool is_plain(const Area& a) {
  if (a.shared || !a.readable || !a.writable || a.executable) return false;
  if (a.inode) return lies_in_parts(a);
  return a.name.empty() || a.name == "[heap]" || a.name.starts_with("[anon:");
}

// Pages that the program has locked would not be locked any more.
bool locks_memory() {
  const Fd file(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
  char text[4096];
  const ssize_t n = file ? ::read(file.get(), text, sizeof text - 1) : 0;
  if (n <= 0) return true;
  text[n] = 0;
  const char* locked = strstr(text, "\nVmLck:");
  return !locked || strtoull(locked + strlen("\nVmLck:"), nullptr, 10) != 0;
}

bool is_of(const struct stat& st, const Area& a) {
  return S_ISREG(st.st_mode) && st.st_dev == a.device && st.st_ino == a.inode;
}

// Memory and nothing else: what is written there goes to no disk.
bool is_memory_to_write(const Fd& fd, const Area& a) {
  struct stat st;
  struct statfs fs;
  return fd && fstat(fd.get(), &st) == 0 && is_of(st, a) && (fcntl(fd.get(), F_GETFL) & O_ACCMODE) == O_RDWR &&
         fstatfs(fd.get(), &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

// By its name, or by a descriptor that the program still has of it.
Fd open_file_of(const Area& a, const std::string& name) {
  struct stat st;
  if (name.starts_with('/') && lstat(name.c_str(), &st) == 0 && is_of(st, a)) {
    Fd fd(::open(name.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (is_memory_to_write(fd, a)) return fd;
  }
  DIR* all = opendir("/proc/self/fd");
  if (!all) return {};
  Fd found;
  while (const dirent* entry = readdir(all)) {
    const int number = atoi(entry->d_name);
    if (entry->d_name[0] == '.' || fstat(number, &st) != 0 || !is_of(st, a)) continue;
    Fd fd(fcntl(number, F_DUPFD_CLOEXEC, 0));
    if (!is_memory_to_write(fd, a)) continue;
    found = std::move(fd);
    break;
  }
  closedir(all);
  return found;
}

}  // namespace

std::optional<Pages> movable_pages(uint64_t address, uint64_t size) {
  const uint64_t first = address & ~(kPage - 1);
  const Pages pages{first, ((address + size + kPage - 1) & ~(kPage - 1)) - first};
  uint64_t known = first;
  bool plain = true;
  const bool looked = for_each_area([&](const Area& a) {
    if (a.name.starts_with("/[aio]")) plain = false;  // the kernel may be writing anywhere
    if (a.end > known && a.first < first + pages.size) {
      plain = plain && a.first <= known && is_plain(a);
      known = a.end;
    }
    return plain;
  });
  if (!looked || !plain || known < first + pages.size || locks_memory()) return std::nullopt;
  const bool whole = address == first && size == pages.size;
  return whole || is_block_of_its_own(address, pages) ? std::optional(pages) : std::nullopt;
}

std::optional<SharedFile> shared_file(const Pages& pages) {
  Area found;
  std::string name;
  for_each_area([&](const Area& a) {
    if (a.first <= pages.first && a.end >= pages.first + pages.size) {
      found = a;
      name = a.name;
    }
    return a.end <= pages.first;
  });
  if (!found.inode || !found.shared || !found.writable || lies_in_parts(found)) return std::nullopt;
  Fd fd = open_file_of(found, name);
  if (!fd) return std::nullopt;
  return SharedFile{std::move(fd), found.offset + (pages.first - found.first)};
}

}  // namespace nm::client
