#include "server/daemon_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <thread>

namespace nm::server {
namespace {

using wire::Address;

constexpr int kBacklog = 1024;  // the kernel lowers it to net.core.somaxconn

Error cannot_listen(const Address& address, const std::string& why) {
  return Error{fmt::format("Cannot listen on {}: {}", address.text(), why)};
}

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Two servers started at once must not both find the other's socket stale. The lock is on the directory, so that
// nothing is left behind; a stranger who holds it for long does not keep us from starting.
Fd lock_directory(const std::string& path) {
  Fd dir(::open(directory_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int tries = 0; dir && tries < 100 && ::flock(dir.get(), LOCK_EX | LOCK_NB) != 0; ++tries) {
    std::this_thread::sleep_for(Millis(20));
  }
  return dir;
}

// 0: the path is free now. Else a sentence.
Result<void> make_room(const Address& address) {
  struct stat there;
  if (::lstat(address.path.c_str(), &there) != 0) {
    if (errno == ENOENT) return {};
    return cannot_listen(address, std::string(strerror(errno)) + ". Check the directory.");
  }
  if (!S_ISSOCK(there.st_mode)) {
    return cannot_listen(address, "a file that is not a socket stands there. Remove it or choose another path.");
  }
  // A server that is alive accepts, or is at least there to refuse for lack of room.
  Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un to = {};
  to.sun_family = AF_UNIX;
  address.path.copy(to.sun_path, sizeof to.sun_path - 1);
  if (::connect(probe.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0 || errno != ECONNREFUSED) {
    return cannot_listen(address, "another server is using it. Stop that one or choose another path.");
  }
  if (::unlink(address.path.c_str()) != 0) {
    return cannot_listen(address,
                         fmt::format("the socket of a server that is gone cannot be removed: {}.", strerror(errno)));
  }
  return {};
}

// Where the socket stands until it listens: whoever finds it at its own place can connect.
std::string place_before(const std::string& path) {
  constexpr size_t kLongest = sizeof(sockaddr_un::sun_path) - 1;
  return path.size() < kLongest ? path + "~" : path.substr(0, path.size() - 1) + (path.back() == '~' ? "-" : "~");
}

Result<void> give_to_group(const Address& address, const std::string& path, const std::string& group) {
  const auto* entry = ::getgrnam(group.c_str());
  if (!entry) return cannot_listen(address, fmt::format("there is no group \"{}\". Check --group.", group));
  if (::chown(path.c_str(), static_cast<uid_t>(-1), entry->gr_gid) != 0 || ::chmod(path.c_str(), 0660) != 0) {
    return cannot_listen(address, fmt::format("it cannot be given to group \"{}\": {}. Run as root or as a member.",
                                              group, strerror(errno)));
  }
  return {};
}

Result<std::vector<Listener>> listen_unix(const Address& address, const std::string& group) {
  const std::string dir = directory_of(address.path);
  // Only the built-in place is made; a path that somebody wrote is taken at its word.
  if (address == wire::default_address()) ::mkdir(dir.c_str(), 0755);
  const Fd lock = lock_directory(address.path);
  if (!lock) return cannot_listen(address, fmt::format("directory {}: {}. Create it first.", dir, strerror(errno)));
  if (auto room = make_room(address); !room) return room.error();

  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un at = {};
  at.sun_family = AF_UNIX;
  const std::string before_it = place_before(address.path);
  before_it.copy(at.sun_path, sizeof at.sun_path - 1);
  ::unlink(before_it.c_str());  // of a server that was killed here
  // Narrow from the first moment: chmod after bind would leave a gap.
  const mode_t before = ::umask(0177);
  const bool bound = ::bind(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) == 0;
  const int error = errno;
  ::umask(before);
  if (!bound) return cannot_listen(address, std::string(strerror(error)) + ". Check the directory and its owner.");

  Result<void> ready;
  if (!group.empty()) ready = give_to_group(address, before_it, group);
  if (ready && (::listen(fd.get(), kBacklog) != 0 || ::rename(before_it.c_str(), address.path.c_str()) != 0)) {
    ready = cannot_listen(address, std::string(strerror(errno)) + ".");
  }
  if (!ready) {
    ::unlink(before_it.c_str());
    return ready.error();
  }
  std::vector<Listener> made;
  made.emplace_back(address, std::move(fd));
  return made;
}

Result<Fd> listen_ip(const Address& address, const sockaddr* at, socklen_t size) {
  Fd fd(::socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  if (fd) {
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (at->sa_family == AF_INET6) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  }
  if (!fd || ::bind(fd.get(), at, size) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    const bool used = errno == EADDRINUSE;
    return cannot_listen(address, used ? "another program is using the port. Stop that one or choose another port."
                                       : std::string(strerror(errno)) + ".");
  }
  return fd;
}

Result<std::vector<Listener>> listen_tcp(const Address& address) {
  sockaddr_in v4 = {};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(address.port);
  sockaddr_in6 v6 = {};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(address.port);
  const bool both = address.host == "localhost";
  const bool is_v4 = ::inet_pton(AF_INET, both ? "127.0.0.1" : address.host.c_str(), &v4.sin_addr) == 1;
  const bool is_v6 = ::inet_pton(AF_INET6, both ? "::1" : address.host.c_str(), &v6.sin6_addr) == 1;

  std::vector<Listener> made;
  if (is_v4) {
    auto fd = listen_ip(address, reinterpret_cast<sockaddr*>(&v4), sizeof v4);
    if (!fd) return fd.error();
    made.emplace_back(address, std::move(*fd));
  }
  if (is_v6) {
    auto fd = listen_ip(address, reinterpret_cast<sockaddr*>(&v6), sizeof v6);
    if (fd) {
      made.emplace_back(address, std::move(*fd));
    } else if (!both) {  // localhost on a host without IPv6 is still localhost
      return fd.error();
    }
  }
  if (made.empty()) {
    return cannot_listen(address,
                         "a server listens on addresses, not on names. Write an address of this host's, or 0.0.0.0 "
                         "for all of them.");
  }
  return made;
}

}  // namespace

Listener::Listener(Address address, Fd fd) : address_(std::move(address)), fd_(std::move(fd)) {
  struct stat file;
  if (address_.kind == Address::Kind::unix_socket && ::lstat(address_.path.c_str(), &file) == 0) inode_ = file.st_ino;
}

Listener::~Listener() {
  struct stat file;
  const bool ours = fd_ && inode_ != 0 && ::lstat(address_.path.c_str(), &file) == 0 && file.st_ino == inode_;
  if (ours) ::unlink(address_.path.c_str());
}

Result<std::vector<Listener>> listen_on(const Address& address, const std::string& group) {
  return address.kind == Address::Kind::unix_socket ? listen_unix(address, group) : listen_tcp(address);
}

}  // namespace nm::server
