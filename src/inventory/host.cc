#include "inventory/host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/clock.h"
#include "base/process.h"

namespace nm::inventory {

Reading DirectoryHost::read(const std::string& path, size_t most) const {
  // Not blocking: a pipe in a file's place would wait for a writer for ever.
  const Fd file(::open((root_ + path).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) return {.error = errno};
  struct stat stat = {};
  if (::fstat(file.get(), &stat) != 0) return {.error = errno};
  if (!S_ISREG(stat.st_mode)) return {.error = S_ISDIR(stat.st_mode) ? EISDIR : EINVAL};
  Reading reading;
  char buffer[16 << 10];
  while (reading.text.size() < most) {
    const ssize_t got = ::read(file.get(), buffer, std::min(sizeof buffer, most - reading.text.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return {.error = errno};
    if (got == 0) break;
    reading.text.append(buffer, static_cast<size_t>(got));
  }
  return reading;
}

Reading DirectoryHost::link(const std::string& path) const {
  char buffer[4096];
  const ssize_t length = ::readlink((root_ + path).c_str(), buffer, sizeof buffer);
  if (length < 0) return {.error = errno};
  return {.text = std::string(buffer, static_cast<size_t>(length))};
}

Listing DirectoryHost::list(const std::string& path) const {
  DIR* directory = ::opendir((root_ + path).c_str());
  if (!directory) return {.error = errno};
  Listing listing;
  while (const dirent* entry = ::readdir(directory)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") listing.names.push_back(name);
  }
  ::closedir(directory);
  std::sort(listing.names.begin(), listing.names.end());
  return listing;
}

bool DirectoryHost::exists(const std::string& path) const { return ::access((root_ + path).c_str(), F_OK) == 0; }

bool DirectoryHost::may_use(const std::string& path) const {
  return ::access((root_ + path).c_str(), R_OK | W_OK) == 0;
}

std::string DirectoryHost::first_line_of(const std::vector<std::string>& argv) const {
  int ends[2];
  if (!root_.empty() || argv.empty() || ::pipe2(ends, O_CLOEXEC) != 0) return "";
  const Fd out(ends[0]);
  Fd in(ends[1]);
  const Fd nothing(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  auto child = spawn({.argv = argv,
                      .env = {"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
                      .fds = {{in.get(), 1}, {nothing.get(), 2}},
                      .die_with_parent = true,
                      .own_group = true});
  if (!child) return "";
  in.reset();
  std::string text;
  const TimePoint deadline = Clock::now() + Millis(2'000);
  while (text.find('\n') == std::string::npos && text.size() < 4096) {
    pollfd poll = {.fd = out.get(), .events = POLLIN};
    const int ready = ::poll(&poll, 1, static_cast<int>(time_left(deadline).count()));
    if (ready == 0) break;
    if (ready < 0) continue;
    char buffer[512];
    const ssize_t got = ::read(out.get(), buffer, sizeof buffer);
    if (got <= 0) break;
    text.append(buffer, static_cast<size_t>(got));
  }
  child->signal(SIGKILL);  // it has said what we wanted, or takes too long
  child->wait();
  return text.substr(0, text.find('\n'));
}

Self DirectoryHost::self() const {
  rlimit limit = {};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  const char* path = ::getenv("PATH");
  Self self{.root = ::geteuid() == 0,
            .path = path && root_.empty() ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            .memlock = limit.rlim_cur == RLIM_INFINITY ? ~uint64_t{0} : limit.rlim_cur};
  return self;
}

}  // namespace nm::inventory
