#include "server/worker.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
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
#include "wire/status.h"

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

// Null: nobody wants to know.
SessionPage* map_page(int fd) {
  if (fd < 0) return nullptr;
  void* at = mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  return at == MAP_FAILED ? nullptr : static_cast<SessionPage*>(at);
}

void tell_gpus(const DriverTable& driver, SessionPage* page) {
  int count = 0;
  if (!page || driver.cuDeviceGetCount(&count) != CUDA_SUCCESS) return;
  for (int i = 0; i < count && i < static_cast<int>(kPageGpus); i++) {
    SessionPage::Gpu& gpu = page->gpus[i];
    CUdevice device;
    CUuuid uuid;
    size_t bytes;
    if (!driver.cuDeviceGet || driver.cuDeviceGet(&device, i) != CUDA_SUCCESS) return;
    if (driver.cuDeviceGetName) driver.cuDeviceGetName(gpu.name, sizeof gpu.name, device);
    if (driver.cuDeviceTotalMem_v2 && driver.cuDeviceTotalMem_v2(&bytes, device) == CUDA_SUCCESS) gpu.memory = bytes;
    if (driver.cuDeviceGetUuid_v2 && driver.cuDeviceGetUuid_v2(&uuid, device) == CUDA_SUCCESS) {
      memcpy(gpu.uuid, &uuid, sizeof gpu.uuid);
    }
    page->gpu_count = static_cast<uint64_t>(i) + 1;
  }
}

void tell_transport(const wire::Stream& stream, SessionPage* page) {
  const auto transport = stream.writes_directly() ? wire::StatusTransport::ring : wire::StatusTransport::socket;
  if (page) set(page->transport, static_cast<uint64_t>(transport));
}

}  // namespace

int worker_main(const WorkerOptions& options) {
  // Unlimited only so that the kernel chose a low place for our mappings (base/process.h).
  rlimit stack;
  if (getrlimit(RLIMIT_STACK, &stack) == 0 && stack.rlim_cur == RLIM_INFINITY) {
    stack.rlim_cur = 8 << 20;
    setrlimit(RLIMIT_STACK, &stack);
  }

  SessionPage* const page = map_page(options.page_fd);
  DriverTable driver;
  std::string why;
  if (options.init_cuda) {
    if (!load_driver(options.driver, &driver, &why)) {
      log::error("The worker cannot load the driver: " + why + ". Name another one with --driver.");
      report(options.control_fd, Report::ready, CUDA_ERROR_SHARED_OBJECT_INIT_FAILED);
      return kExitDriver;
    }
    CUresult result = driver.cuInit(0);
    if (result == CUDA_SUCCESS) tell_gpus(driver, page);
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
  static wire::Lanes lanes(wire::Landing::buffers);
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
  bool unix_socket = !assignment.is_far && is_unix(connection.get());
  if (assignment.hello.purpose == wire::Purpose::nvml) {
    if (auto stream = wire::accept_transport(std::move(connection), unix_socket)) {
      tell_transport(*stream, page);
      Connection plain(std::move(stream));
      serve_nvml(*load_nvml(options.nvml_driver), plain, page);
    }
    _exit(0);
  }
  if (auto stream = wire::accept_transport(std::move(connection), unix_socket)) {
    tell_transport(*stream, page);
    // Never destroyed: the device may still be at work, also on memory of the client's that the session maps.
    Session& session = *new Session(driver, Connection(std::move(stream)), host_functions, lanes, page);
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
