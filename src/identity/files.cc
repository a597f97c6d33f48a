#include "identity/files.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "identity/bytes.h"

namespace nm::identity {
namespace {

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Error cannot(const char* what, const std::string& path, int error) {
  const char* next = error == ENOSPC || error == EDQUOT                    ? "Make room on the disk"
                     : error == EACCES || error == EPERM || error == EROFS ? "Run as the user to whom it belongs"
                     : error == ENOENT                                     ? "Check the path"
                                                                           : "Check the file system";
  return Error{fmt::format("Cannot {} {}: {}. {}.", what, path, strerror(error), next)};
}

// 0 or an errno.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno != EINTR) return errno;
    if (n > 0) text.remove_prefix(static_cast<size_t>(n));
  }
  return 0;
}

int sync_directory(const std::string& path) {
  const Fd dir(::open(directory_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return dir && ::fsync(dir.get()) == 0 ? 0 : errno;
}

// A name beside `path` that holds `text`, on the disk.
Result<std::string> write_beside(const std::string& path, std::string_view text, mode_t mode) {
  const std::string beside = path + ".new-" + hex(random_bytes(6));
  const Fd fd(::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!fd) return cannot("write", path, errno);
  int error = ::fchmod(fd.get(), mode) == 0 ? write_all(fd.get(), text) : errno;
  if (error == 0 && ::fsync(fd.get()) != 0) error = errno;
  if (error == 0) return beside;
  ::unlink(beside.c_str());
  return cannot("write", path, error);
}

}  // namespace

Result<std::string> read_file(const std::string& path, size_t most) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat file;
  if (!fd || ::fstat(fd.get(), &file) != 0) return cannot("read", path, errno);
  if (!S_ISREG(file.st_mode)) return Error{fmt::format("{} is not a file. Check the path.", path)};
  std::string text;
  std::vector<char> part(64 << 10);
  for (;;) {
    const ssize_t n = ::read(fd.get(), part.data(), part.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return cannot("read", path, errno);
    if (n == 0) return text;
    if (text.size() + static_cast<size_t>(n) > most) {
      return Error{fmt::format("{} has more than {} bytes, which no such file has. Check the path.", path, most)};
    }
    text.append(part.data(), static_cast<size_t>(n));
  }
}

Result<void> write_new(const std::string& path, std::string_view text, mode_t mode) {
  const auto beside = write_beside(path, text, mode);
  if (!beside) return beside.error();
  const int error = ::link(beside->c_str(), path.c_str()) == 0 ? sync_directory(path) : errno;
  ::unlink(beside->c_str());
  if (error == EEXIST)
    return Error{fmt::format("{} is there already and is not overwritten. Move it away first.", path)};
  if (error != 0) return cannot("write", path, error);
  return {};
}

Result<void> replace_file(const std::string& path, std::string_view text, mode_t mode) {
  const auto beside = write_beside(path, text, mode);
  if (!beside) return beside.error();
  if (::rename(beside->c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(beside->c_str());
    return cannot("write", path, error);
  }
  if (const int error = sync_directory(path)) return cannot("write", path, error);
  return {};
}

Result<void> append_line(const std::string& path, std::string_view line, mode_t mode, bool sync) {
  // Opened each time: whoever rotates the file by renaming it has nobody to tell.
  const Fd fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode));
  struct stat before;
  if (!fd || ::flock(fd.get(), LOCK_EX) != 0 || ::fstat(fd.get(), &before) != 0) return cannot("write", path, errno);
  int error = write_all(fd.get(), std::string(line) + "\n");
  if (error == 0 && sync && ::fdatasync(fd.get()) != 0) error = errno;
  if (error == 0) return {};
  // Half a line would spoil the next one as well.
  [[maybe_unused]] const int undone = ::ftruncate(fd.get(), before.st_size);
  return cannot("write", path, error);
}

Result<void> make_private_directory(const std::string& path, mode_t mode) {
  for (size_t slash = path.find('/', 1); slash != path.npos; slash = path.find('/', slash + 1)) {
    if (::mkdir(path.substr(0, slash).c_str(), 0755) != 0 && errno != EEXIST) {
      return cannot("make the directory", path.substr(0, slash), errno);
    }
  }
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return cannot("make the directory", path, errno);
  struct stat there;
  if (::stat(path.c_str(), &there) != 0) return cannot("use the directory", path, errno);
  if (!S_ISDIR(there.st_mode)) return cannot("use the directory", path, ENOTDIR);
  if ((there.st_uid != ::geteuid() && there.st_uid != 0) || (there.st_mode & 0022) != 0) {
    return Error{
        fmt::format("The directory {} belongs to another user or can be written to by others, and keys are to "
                    "lie there. chown and chmod go-w it, or choose another one with --dir.",
                    path)};
  }
  return {};
}

Result<Fd> lock_directory(const std::string& path) {
  Fd dir(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir) return cannot("use the directory", path, errno);
  while (::flock(dir.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return cannot("lock the directory", path, errno);
  }
  return dir;
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

}  // namespace nm::identity
