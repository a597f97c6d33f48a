#include "guest/run_place.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "inventory/reader.h"

namespace nm::guest {
namespace {

constexpr size_t kLongestName = 60;
constexpr uintmax_t kMostVariables = 64 << 20;

std::string absolute(const char* variable) {
  const char* value = ::getenv(variable);
  return value && value[0] == '/' ? value : "";
}

bool fits_in_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

Result<void> make(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (!error) {
    ::chmod(directory.c_str(), 0700);  // who reaches a guest's monitor is its master
    return {};
  }
  return Error{fmt::format("Cannot make the directory {}: {}.", directory, error.message())};
}

std::string lock_of(std::string qmp) {
  constexpr std::string_view kEnd = ".qmp";
  if (qmp.ends_with(kEnd)) qmp.resize(qmp.size() - kEnd.size());
  return qmp + ".lock";
}

}  // namespace

Result<void> check_name(const std::string& name) {
  const std::string shown = inventory::clean(name, kLongestName);
  if (name.empty()) return Error{"A guest needs a name. Give one with --name."};
  if (name.size() > kLongestName) {
    return Error{fmt::format("\"{}\" is too long for a guest's name: {} bytes at most.", shown, kLongestName)};
  }
  for (const char c : name) {
    if (c != '/' && static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) continue;
    return Error{fmt::format("\"{}\" cannot be a guest's name: no slash and no control characters.", shown)};
  }
  if (name[0] == '.' || name[0] == '-') {
    return Error{
        fmt::format("\"{}\" cannot be a guest's name: it begins with a {}.", shown, name[0] == '.' ? "dot" : "dash")};
  }
  return {};
}

std::string name_for(const std::string& disk) {
  std::string name(inventory::last_part(disk));
  if (const size_t dot = name.rfind('.'); dot != std::string::npos && dot > 0) name.resize(dot);
  for (char& c : name) c = fits_in_name(c) ? c : '-';
  name.resize(std::min(name.size(), kLongestName));
  const size_t first = name.find_first_not_of(".-");
  return first == std::string::npos ? "guest" : name.substr(first);
}

std::string run_directory() {
  if (::geteuid() == 0) return "/run/nearmetal/vm";
  const std::string run = absolute("XDG_RUNTIME_DIR");
  return run.empty() ? fmt::format("/tmp/nearmetal-{}/vm", ::geteuid()) : run + "/nearmetal/vm";
}

std::string keep_directory() {
  if (::geteuid() == 0) return "/var/lib/nearmetal/vm";
  if (const std::string state = absolute("XDG_STATE_HOME"); !state.empty()) return state + "/nearmetal/vm";
  const std::string home = absolute("HOME");
  return home.empty() ? run_directory() : home + "/.local/state/nearmetal/vm";
}

Result<RunPlace> RunPlace::take(const std::string& run, const std::string& keep, const std::string& name) {
  if (const auto good = check_name(name); !good) return good.error();
  for (const std::string& directory : {run, keep}) {
    if (const auto made = make(directory); !made) return made.error();
  }
  const std::string path = run + "/" + name + ".lock", socket = run + "/" + name + ".qmp";
  if (socket.size() >= sizeof(sockaddr_un::sun_path)) {
    return Error{fmt::format("{} is too long a path for a socket: {} bytes at most. Give the guest a shorter name.",
                             socket, sizeof(sockaddr_un::sun_path) - 1)};
  }
  Fd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) return Error{fmt::format("Cannot open {}: {}.", path, strerror(errno))};
  // Whoever asks runs() has it for a moment.
  int busy = ::flock(lock.get(), LOCK_EX | LOCK_NB);
  for (int i = 0; busy != 0 && i < 5; ++i) {
    ::usleep(20'000);
    busy = ::flock(lock.get(), LOCK_EX | LOCK_NB);
  }
  if (busy != 0) {
    char buffer[32] = {};
    const ssize_t got = ::pread(lock.get(), buffer, sizeof buffer - 1, 0);
    const std::string pid = got > 0 ? inventory::clean(std::string_view(buffer, static_cast<size_t>(got))) : "unknown";
    return Error{fmt::format("A guest called {} runs already (nearmetal vm run, pid {}). Give this one another --name.",
                             name, pid)};
  }
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(lock.get(), 0) != 0 || ::pwrite(lock.get(), pid.data(), pid.size(), 0) < 0) {
    return Error{fmt::format("Cannot write {}: {}.", path, strerror(errno))};
  }
  ::unlink(socket.c_str());  // of one that was killed
  return RunPlace(run, keep, name, std::move(lock));
}

RunPlace::~RunPlace() {
  // The lock's file stays: unlinked, it would let two of one name in.
  if (lock_) ::unlink(qmp().c_str());
}

Result<void> RunPlace::copy_variables(const std::string& from) const {
  const std::string to = variables(), half = to + ".new";
  std::error_code error;
  const uintmax_t size = std::filesystem::file_size(to, error);
  const uintmax_t wanted = std::filesystem::file_size(from, error);
  if (error || wanted > kMostVariables) return Error{fmt::format("OVMF's {} cannot be read. Reinstall OVMF.", from)};
  if (size == wanted) return {};  // of another size: another OVMF's, which this one does not read
  std::filesystem::copy_file(from, half, std::filesystem::copy_options::overwrite_existing, error);
  if (!error)
    std::filesystem::permissions(half, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write, error);
  if (!error) std::filesystem::rename(half, to, error);
  if (error) return Error{fmt::format("Cannot copy {} to {}: {}.", from, to, error.message())};
  return {};
}

bool runs(const std::string& qmp) {
  const Fd lock(::open(lock_of(qmp).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  return lock && ::flock(lock.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

}  // namespace nm::guest
