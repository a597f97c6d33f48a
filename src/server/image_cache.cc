#include "server/image_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <memory>

namespace nm::server {
namespace {

// How many bytes the images take, as a number, and what those who store hold a lock on. A wrong number does no harm: it
// only says when to count again.
constexpr char kTotal[] = "total";
constexpr char kNew[] = "new";  // being written by who holds the lock; left by nobody but a worker that died
constexpr int kLockTries = 100;
constexpr timespec kLockNap{0, 5'000'000};
constexpr size_t kNameLength = 2 * sizeof(wire::Digest);

bool is_image(const std::string& name) {
  return name.size() == kNameLength && name.find_first_not_of("0123456789abcdef") == name.npos;
}

bool read_all(int fd, uint8_t* to, uint64_t size) {
  while (size) {
    const ssize_t n = ::read(fd, to, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    to += n;
    size -= static_cast<uint64_t>(n);
  }
  return true;
}

bool write_all(int fd, std::span<const uint8_t> data) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    data = data.subspan(static_cast<size_t>(n));
  }
  return true;
}

Result<void> make_directories(const std::string& path) {
  for (size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    const std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
      return Error{"Cannot make the image cache's directory " + part + ": " + strerror(errno) +
                   ". Name another one with --image-cache."};
    }
    if (at == path.npos) return {};
  }
}

struct File {
  std::string name;
  timespec used;
  uint64_t size;
};

// To keep an image is a favour to sessions to come: none waits long for it.
bool lock_within_patience(int fd) {
  for (int i = 0; i < kLockTries; i++) {
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK && errno != EINTR) return false;
    ::nanosleep(&kLockNap, nullptr);
  }
  return false;
}

// Every image, the one that nobody asked for longest first.
std::vector<File> list(int directory) {
  std::vector<File> files;
  const int copy = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR*)> all(copy < 0 ? nullptr : ::fdopendir(copy), ::closedir);
  if (!all) {
    if (copy >= 0) ::close(copy);
    return files;
  }
  while (const dirent* entry = ::readdir(all.get())) {
    struct stat st;
    const std::string name = entry->d_name;
    if (!is_image(name) || ::fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
    files.push_back({name, st.st_mtim, static_cast<uint64_t>(st.st_size)});
  }
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) {
    return std::pair(a.used.tv_sec, a.used.tv_nsec) < std::pair(b.used.tv_sec, b.used.tv_nsec);
  });
  return files;
}

}  // namespace

Result<ImageCache> ImageCache::open(const std::string& directory, uint64_t limit) {
  if (auto made = make_directories(directory); !made) return made.error();
  ImageCache cache;
  cache.limit_ = limit;
  cache.directory_.reset(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat st;
  if (!cache.directory_ || ::fstat(cache.directory_.get(), &st) != 0) {
    return Error{"Cannot open the image cache's directory " + directory + ": " + strerror(errno) +
                 ". Name another one with --image-cache."};
  }
  // Somebody else's could tell him what our clients run, though not change it.
  if (st.st_uid != ::geteuid() || (st.st_mode & 022)) {
    return Error{"The image cache's directory " + directory +
                 " belongs to another user or may be written by one. Name another one with --image-cache."};
  }
  return cache;
}

std::optional<std::vector<uint8_t>> ImageCache::find(const wire::Digest& name, uint64_t size) {
  if (!keeps() || size == 0 || size > limit_) return {};
  const std::string file = wire::text_of(name);
  const Fd fd(::openat(directory_.get(), file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat st;
  if (!fd || ::fstat(fd.get(), &st) != 0) return {};
  if (!S_ISREG(st.st_mode) || static_cast<uint64_t>(st.st_size) > limit_) return {};
  std::vector<uint8_t> image;
  image.reserve(static_cast<uint64_t>(st.st_size) + 1);  // whoever loads it puts a zero behind it
  image.resize(static_cast<uint64_t>(st.st_size));
  // Read first, then hashed: a file that changes meanwhile changes nothing here.
  if (read_all(fd.get(), image.data(), image.size()) && wire::image_name(image) == name) {
    if (image.size() != size) return {};
    ::futimens(fd.get(), nullptr);
    return image;
  }
  ::unlinkat(directory_.get(), file.c_str(), 0);
  return {};
}

bool ImageCache::store(std::span<const uint8_t> image) {
  if (!keeps() || image.empty() || image.size() > limit_) return false;
  const std::string name = wire::text_of(wire::image_name(image));
  const Fd lock(::openat(directory_.get(), kTotal, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock || !lock_within_patience(lock.get())) return false;
  struct stat st;
  if (::fstatat(directory_.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
      static_cast<uint64_t>(st.st_size) == image.size()) {
    return true;  // another worker was faster
  }
  uint64_t total = 0;
  if (::pread(lock.get(), &total, sizeof total, 0) != sizeof total) total = limit_;  // unknown: count
  if (total > limit_ || image.size() > limit_ - total) make_room(image.size(), &total);

  ::unlinkat(directory_.get(), kNew, 0);
  const Fd fd(::openat(directory_.get(), kNew, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  const bool kept =
      fd && write_all(fd.get(), image) && ::renameat(directory_.get(), kNew, directory_.get(), name.c_str()) == 0;
  if (kept)
    total += image.size();
  else
    ::unlinkat(directory_.get(), kNew, 0);
  // What cannot be written down is counted next time.
  if (::pwrite(lock.get(), &total, sizeof total, 0) != sizeof total) (void)!::ftruncate(lock.get(), 0);
  return kept;
}

void ImageCache::make_room(uint64_t size, uint64_t* total) {
  const std::vector<File> files = list(directory_.get());
  *total = 0;
  for (const File& file : files) *total += file.size;
  if (*total <= limit_ - size) return;
  // Some more than is asked for, lest every store to a full cache counts.
  const uint64_t target = limit_ - std::min(limit_, size + limit_ / 8);
  for (const File& file : files) {
    if (*total <= target) return;
    if (::unlinkat(directory_.get(), file.name.c_str(), 0) == 0) *total -= file.size;
  }
}

}  // namespace nm::server
