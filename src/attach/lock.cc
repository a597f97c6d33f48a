#include "attach/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>

#include "inventory/reader.h"

namespace nm::attach {
namespace {

constexpr Millis kBeat{50};

std::string holder_of(int fd) {
  char text[200];
  const ssize_t got = ::pread(fd, text, sizeof text, 0);
  const std::string who = inventory::clean(std::string_view(text, got > 0 ? static_cast<size_t>(got) : 0));
  return who.empty() ? "another nearmetal" : who;
}

}  // namespace

Result<Locks> Locks::take(const std::string& directory, std::vector<std::string> names, const std::string& doing,
                          Millis limit, const std::function<void(const std::string&)>& waiting,
                          const std::function<bool()>& stopped) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  Locks locks;
  bool told = false;
  const TimePoint deadline = Clock::now() + limit;
  for (const std::string& name : names) {
    const std::string path = directory + "/" + name + ".lock";
    Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (!file) return Error{fmt::format("Cannot open {}: {}. Run this as root.", path, strerror(errno))};
    while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno != EWOULDBLOCK) return Error{fmt::format("Cannot lock {}: {}.", path, strerror(errno))};
      const std::string who = holder_of(file.get());
      if (stopped && stopped()) return Error{"You interrupted it, and nothing was done."};
      if (Clock::now() >= deadline) {
        return Error{
            fmt::format("{} is at work on the same GPU or guest ({}). Try again when it has ended.", who, name)};
      }
      if (waiting && !told) waiting(fmt::format("Waiting for {}, which works on the same GPU or guest.", who));
      told = true;
      ::usleep(static_cast<useconds_t>(kBeat.count()) * 1000);
    }
    // For the other one's sentence only; that it may be full of holes on a full disk does no harm.
    const std::string text = fmt::format("nearmetal (pid {}, {})\n", ::getpid(), doing);
    if (::ftruncate(file.get(), 0) != 0 || ::pwrite(file.get(), text.data(), text.size(), 0) < 0) {
    }
    locks.files_.push_back(std::move(file));
  }
  return locks;
}

std::string group_lock(int iommu_group) { return fmt::format("group-{}", iommu_group); }

std::string guest_lock(const std::string& backend, const std::string& id) {
  // A file's name has room for 255 bytes and no slash; what a hash makes equal only waits for each other.
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return fmt::format("guest-{}-{:016x}", backend, hash);
}

}  // namespace nm::attach
