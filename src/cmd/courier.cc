// nearmetal __courier: started by `nearmetal run` and its like, see cmd/reach.h. Makes a first connection, so that who
// started the program hears at once what is wrong; then goes on in the background, in a session of its own and with
// nothing of the caller's open: the program's output ends when the program does.
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/number.h"
#include "cmd/verbs.h"
#include "identity/courier.h"

namespace nm::cmd {
namespace {

constexpr Millis kFirstConnection{10'000};

int tell(int to, const std::string& text, int status) {
  [[maybe_unused]] const auto written = ::write(to, text.data(), text.size());
  return status;
}

// A directory that only this user can look into.
std::string make_place() {
  for (const char* parent : {::getenv("XDG_RUNTIME_DIR"), ::getenv("TMPDIR"), static_cast<char*>(nullptr)}) {
    std::string dir = std::string(parent && parent[0] == '/' ? parent : "/tmp") + "/nearmetal-courier-XXXXXX";
    // Room for the name of the socket in it.
    if (dir.size() + 3 < sizeof(sockaddr_un::sun_path) && ::mkdtemp(dir.data())) return dir;
  }
  return "";
}

Fd listen_at(const std::string& path) {
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un at = {};
  at.sun_family = AF_UNIX;
  path.copy(at.sun_path, sizeof at.sun_path - 1);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || ::listen(fd.get(), 128) != 0) fd.reset();
  return fd;
}

void leave_the_caller() {
  ::setsid();
  [[maybe_unused]] const int moved = ::chdir("/");
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3; fd++) ::dup2(null, fd);
  ::close(null);
  // A program with hundreds of threads and lanes may have that many connections.
  rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
}

}  // namespace

// SERVER READY-FD PROGRAM-PIDFD LIFE-FD
int courier_verb(const Args& args) {
  int fds[3] = {-1, -1, -1};
  for (size_t i = 0; i < 3 && args.size() == 4; i++) fds[i] = number_or(std::string_view(args[i + 1]), -1);
  if (fds[2] < 0) return 2;
  Fd ready(fds[0]), program(fds[1]), life(fds[2]);
  for (const int fd : fds) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  const auto server = wire::parse_address(args[0]);
  if (!server || !server->tls) return tell(ready.get(), "!The courier has no encrypted address to call.", 1);
  ::prctl(PR_SET_DUMPABLE, 0);  // no core file with a key in it
  const identity::PoolDir dir = identity::default_pool_dir();
  ::signal(SIGPIPE, SIG_IGN);
  {
    const auto first = identity::call_server(dir, *server, kFirstConnection);
    if (!first) return tell(ready.get(), "!" + first.error().message, 1);
  }
  const std::string place = make_place(), path = place + "/s";
  Fd listener = place.empty() ? Fd() : listen_at(path);
  if (!listener) {
    return tell(
        ready.get(),
        fmt::format("!Cannot make a socket for the courier: {}. Check XDG_RUNTIME_DIR and /tmp.", strerror(errno)), 1);
  }
  const pid_t child = ::fork();
  if (child < 0) return tell(ready.get(), fmt::format("!Cannot start the courier: {}.", strerror(errno)), 1);
  if (child > 0) return tell(ready.get(), path, 0);
  ready.reset();
  leave_the_caller();
  identity::run_courier({.dir = dir,
                         .server = *server,
                         .listener = std::move(listener),
                         .program = std::move(program),
                         .life = std::move(life)});
  ::unlink(path.c_str());
  ::rmdir(place.c_str());
  return 0;
}

}  // namespace nm::cmd
