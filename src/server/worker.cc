#include "server/worker.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "base/fd.h"
#include "base/log.h"
#include "base/version.h"
#include "driver_table.h"
#include "server/nvml_session.h"
#include "server/session.h"
#include "wire/hello.h"
#include "wire/lanes.h"
#include "wire/ring_stream.h"

namespace nm::server {
namespace {

constexpr int kExitDriver = 3;

bool receive_assignment(int control, Assignment* out, Fd* connection) {
  iovec iov{out, sizeof *out};
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = space;
  message.msg_controllen = sizeof space;
  ssize_t n;
  do n = recvmsg(control, &message, MSG_CMSG_CLOEXEC);
  while (n < 0 && errno == EINTR);
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); n > 0 && c; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    int fd;
    memcpy(&fd, CMSG_DATA(c), sizeof fd);
    connection->reset(fd);
  }
  return n == sizeof *out && *connection;
}

void report(int control, Report::Kind kind, int32_t detail) {
  Report r{kind, detail};
  send(control, &r, sizeof r, MSG_NOSIGNAL);
}

bool welcome(int fd, const wire::Token& token) {
  wire::Welcome w;
  strncpy(w.version, NM_VERSION, sizeof w.version - 1);
  w.token = token;
  return send(fd, &w, sizeof w, MSG_NOSIGNAL) == sizeof w;
}

bool is_unix(int fd) {
  sockaddr_storage address;
  socklen_t length = sizeof address;
  return getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0 && address.ss_family == AF_UNIX;
}

// A driver may keep the session's thread for as long as a kernel runs, and that may be for ever. A client that is gone
// must not leave its memory on the GPU: what it sent before has so long to be worked off.
void end_with_client(int connection) {
  static constexpr std::chrono::seconds kGrace(3);
  std::thread([watched = Fd(fcntl(connection, F_DUPFD_CLOEXEC, 0))] {
    pollfd p{watched.get(), POLLRDHUP, 0};
    while (poll(&p, 1, -1) <= 0) {
    }
    std::this_thread::sleep_for(kGrace);
    _exit(0);
  }).detach();
}

// RTLD_GLOBAL would let the driver's symbols and ours meet; the driver is reached through this table alone.
bool load_driver(const std::string& path, DriverTable* table, std::string* why) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    *why = dlerror();
    return false;
  }
  for_each_function(*table, [&](const char* name, void** out) { *out = dlsym(library, name); });
  if (!table->cuInit || !table->cuDeviceGetCount || !table->cuCtxSetCurrent) {
    *why = path + " is not a CUDA driver";
    return false;
  }
  return true;
}

}  // namespace

int worker_main(const WorkerOptions& options) {
  // Unlimited only so that the kernel chose a low place for our mappings (base/process.h).
  rlimit stack;
  if (getrlimit(RLIMIT_STACK, &stack) == 0 && stack.rlim_cur == RLIM_INFINITY) {
    stack.rlim_cur = 8 << 20;
    setrlimit(RLIMIT_STACK, &stack);
  }

  DriverTable driver;
  std::string why;
  if (options.init_cuda) {
    if (!load_driver(options.driver, &driver, &why)) {
      log::error("The worker cannot load the driver: " + why + ". Name another one with --driver.");
      report(options.control_fd, Report::ready, CUDA_ERROR_SHARED_OBJECT_INIT_FAILED);
      return kExitDriver;
    }
    CUresult result = driver.cuInit(0);
    report(options.control_fd, Report::ready, result);
    // No device is what a client may have asked for, with CUDA_VISIBLE_DEVICES; nm_describe tells it.
    if (result != CUDA_SUCCESS && result != CUDA_ERROR_NO_DEVICE) return kExitDriver;
  } else {
    report(options.control_fd, Report::ready, CUDA_SUCCESS);
  }

  Assignment assignment;
  Fd connection;
  if (!receive_assignment(options.control_fd, &assignment, &connection)) return 0;  // the daemon has gone
  static HostFunctions host_functions;
  static wire::Lanes lanes;
  if (!welcome(connection.get(), assignment.hello.token)) return 0;
  report(options.control_fd, Report::session_started, 0);

  // Later connections of this session arrive here; when the daemon goes, so does the session.
  std::thread([control = options.control_fd] {
    for (;;) {
      Assignment more;
      Fd fd;
      if (!receive_assignment(control, &more, &fd)) _exit(0);
      int raw = fd.get();
      wire::Token token = more.hello.token;
      if (more.hello.purpose == wire::Purpose::lane) {
        // Known before it is welcome: the client's first record about it must find it.
        if (lanes.add(std::move(fd))) welcome(raw, token);
      } else if (more.hello.purpose == wire::Purpose::events) {
        host_functions.connect(std::move(fd));
        welcome(raw, token);
      }
    }
  }).detach();

  end_with_client(connection.get());
  bool unix_socket = is_unix(connection.get());
  if (assignment.hello.purpose == wire::Purpose::nvml) {
    if (auto stream = wire::accept_transport(std::move(connection), unix_socket)) {
      Connection plain(std::move(stream));
      serve_nvml(*load_nvml(options.nvml_driver), plain);
    }
    _exit(0);
  }
  if (auto stream = wire::accept_transport(std::move(connection), unix_socket)) {
    Session session(driver, Connection(std::move(stream)), host_functions, lanes);
    if (!options.image_cache.empty()) {
      if (auto cache = ImageCache::open(options.image_cache, options.image_cache_bytes)) {
        session.keep_images(assignment.hello.token, std::move(*cache));
      }
    }
    session.run();
  }
  // The process is the session: the driver takes back all it holds, faster than we could object by object.
  _exit(0);
}

}  // namespace nm::server
