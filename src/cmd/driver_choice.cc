#include "cmd/driver_choice.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "server/daemon_env.h"

namespace nm::cmd {
namespace {

constexpr const char* kName = "libcuda.so.1";
constexpr Millis kProbeTimeout{60'000};

// What a probe prints: one line, so that what a driver prints by itself is told from it.
constexpr const char* kMark = "nearmetal-probe ";

struct Probed {
  std::string path;
  std::string why_not;  // empty: it answers and has a device
};

std::string directory_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

std::string real_path(const std::string& path) {
  char* resolved = ::realpath(path.c_str(), nullptr);
  std::string out = resolved ? resolved : "";
  ::free(resolved);
  return out;
}

bool is_ours(const std::string& path, const Tree& tree) {
  const std::string resolved = real_path(path);
  const std::string ours = real_path(tree.client);
  return !resolved.empty() && directory_of(resolved) == ours;
}

bool read_within(int fd, std::string& out) {
  const TimePoint deadline = Clock::now() + kProbeTimeout;
  char buffer[1024];
  for (;;) {
    pollfd poll = {.fd = fd, .events = POLLIN, .revents = 0};
    if (::poll(&poll, 1, static_cast<int>(time_left(deadline).count())) == 0) return false;
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got == 0) return true;
    if (got > 0) out.append(buffer, static_cast<size_t>(got));
  }
}

Probed parse_probe(const std::string& output, const ExitStatus& status) {
  const auto mark = output.find(kMark);
  if (mark == output.npos) return {.why_not = fmt::format("the process that tried it {}", status.describe())};
  int result = -1, devices = 0, path_at = 0;
  const char* line = output.c_str() + mark + strlen(kMark);
  if (sscanf(line, "%d %d %n", &result, &devices, &path_at) < 2) return {.why_not = "its answer cannot be read"};
  const std::string rest(line + path_at, strcspn(line + path_at, "\n"));
  if (result < 0) return {.why_not = rest};
  if (result > 0) return {.why_not = fmt::format("cuInit of {} answered {}", rest, result)};
  if (devices == 0) return {.why_not = fmt::format("{} has no device", rest)};
  return {.path = rest};
}

// `how`: --probe-driver or --load-driver.
Probed probe(const char* how, const std::string& name, const Tree& tree) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {.why_not = strerror(errno)};
  Fd out(ends[0]), in(ends[1]);
  auto child = spawn({.argv = {"nearmetald", how, name},
                      .program = tree.bin + "/nearmetald",
                      .env = server::WorkerEnv(current_environment(), tree).own(),
                      .fds = {{in.get(), 1}},
                      .die_with_parent = true});
  if (!child) return {.why_not = child.error().message};
  in.reset();
  std::string output;
  const bool finished = read_within(out.get(), output);
  if (!finished) child->signal(SIGKILL);
  const ExitStatus status = child->wait();
  if (!finished) return {.why_not = "it did not answer in time"};
  return parse_probe(output, status);
}

// Beside the driver where it lies there; else by name, as the driver's own tools find it.
std::string nvml_beside(const std::string& cuda) {
  const std::string beside = directory_of(cuda) + "/libnvidia-ml.so.1";
  return ::access(beside.c_str(), R_OK) == 0 ? beside : "";
}

Result<Drivers> soft(const Tree& tree, const std::string& because) {
  const std::string cuda = tree.softgpu + "/" + kName;
  if (::access(cuda.c_str(), R_OK) != 0) {
    return Error{fmt::format("The software GPU is missing: {}. Keep bin/ and lib/ of nearmetal together.", cuda)};
  }
  return Drivers{.cuda = cuda, .nvml = nvml_beside(cuda), .because = because};
}

struct Loaded {
  int (*init)(unsigned);
  int (*count)(int*);
  std::string path;
};

Result<Loaded> load(const std::string& name) {
  void* library = ::dlopen(name.c_str(), RTLD_NOW);
  if (!library) return Error{::dlerror()};
  const auto init = reinterpret_cast<int (*)(unsigned)>(::dlsym(library, "cuInit"));
  const auto count = reinterpret_cast<int (*)(int*)>(::dlsym(library, "cuDeviceGetCount"));
  Dl_info where = {};
  if (!init || !count || ::dladdr(reinterpret_cast<void*>(init), &where) == 0) {
    return Error{name + " is not a CUDA driver"};
  }
  return Loaded{init, count, where.dli_fname};
}

int say_why_not(const Error& error) {
  fmt::print("{}-1 0 {}\n", kMark, error.message);
  return 1;
}

Result<Drivers> automatic(const Tree& tree) {
  const Probed found = probe("--probe-driver", kName, tree);
  if (!found.why_not.empty()) {
    return soft(tree, fmt::format("No NVIDIA driver answers here ({}): serving the software GPU. Say --driver PATH if "
                                  "there is one.",
                                  found.why_not));
  }
  if (is_ours(found.path, tree)) {
    return soft(tree, "The only driver here is nearmetal's own client library: serving the software GPU.");
  }
  const std::string beside = nvml_beside(found.path);
  return Drivers{.cuda = found.path,
                 .nvml = beside.empty() ? "libnvidia-ml.so.1" : beside,
                 .because = fmt::format("Serving the driver {}.", found.path)};
}

Result<Drivers> at_path(const std::string& path, const Tree& tree) {
  const std::string resolved = real_path(path);
  if (resolved.empty() || ::access(resolved.c_str(), R_OK) != 0) {
    return Error{
        fmt::format("--driver {}: {}. Give the path of a libcuda.so.1, or soft, or auto.", path, strerror(errno))};
  }
  if (is_ours(resolved, tree)) {
    return Error{
        fmt::format("--driver {} is nearmetal's own client library, which cannot serve itself. Give the path "
                    "of the genuine driver, or soft, or auto.",
                    path)};
  }
  if (const Probed found = probe("--load-driver", resolved, tree); !found.why_not.empty()) {
    return Error{fmt::format("--driver {} cannot be served: {}. Give the path of a libcuda.so.1, or soft, or auto.",
                             path, found.why_not)};
  }
  return Drivers{.cuda = resolved, .nvml = nvml_beside(resolved), .because = fmt::format("Serving {}.", resolved)};
}

}  // namespace

Result<Drivers> choose_drivers(const std::string& driver, const std::string& nvml, const Tree& tree) {
  auto chosen = driver == "soft"   ? soft(tree, "Serving the software GPU.")
                : driver == "auto" ? automatic(tree)
                                   : at_path(driver, tree);
  if (!chosen || nvml.empty()) return chosen;
  chosen->nvml = real_path(nvml);
  if (chosen->nvml.empty()) {
    return Error{fmt::format("--nvml {}: {}. Give the path of a libnvidia-ml.so.1.", nvml, strerror(errno))};
  }
  return chosen;
}

int probe_driver(const std::string& name) {
  const auto driver = load(name);
  if (!driver) return say_why_not(driver.error());
  int devices = 0;
  const int result = driver->init(0);
  if (result == 0) driver->count(&devices);
  fmt::print("{}{} {} {}\n", kMark, result, devices, driver->path);
  return result == 0 ? 0 : 1;
}

int load_driver(const std::string& path) {
  const auto driver = load(path);
  if (!driver) return say_why_not(driver.error());
  constexpr int kNotCounted = 1;
  fmt::print("{}0 {} {}\n", kMark, kNotCounted, driver->path);
  return 0;
}

}  // namespace nm::cmd
