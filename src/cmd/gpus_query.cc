#include "cmd/gpus_query.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/process.h"
#include "cmd/reach.h"
#include "cmd/run_env.h"

namespace nm::cmd {
namespace {

// Room for a driver that has to wake up first.
constexpr Millis kProbeTimeout{60'000};

// Everything up to the end of the pipe. False if that does not come in time.
bool read_all(int fd, std::string& out) {
  const TimePoint deadline = Clock::now() + kProbeTimeout;
  char buffer[4096];
  for (;;) {
    pollfd poll = {.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&poll, 1, static_cast<int>(time_left(deadline).count()));
    if (ready == 0) return false;
    if (ready < 0) continue;
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got == 0) return true;
    if (got > 0) out.append(buffer, static_cast<size_t>(got));
  }
}

}  // namespace

std::string to_json(const std::vector<GpuInfo>& gpus) {
  auto list = nlohmann::ordered_json::array();
  for (const GpuInfo& gpu : gpus) {
    list.push_back({{"index", gpu.index},
                    {"name", gpu.name},
                    {"uuid", gpu.uuid},
                    {"pci", gpu.pci},
                    {"memory_bytes", gpu.memory_bytes},
                    {"compute_capability", fmt::format("{}.{}", gpu.capability_major, gpu.capability_minor)},
                    {"multiprocessors", gpu.multiprocessors}});
  }
  return list.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Result<std::vector<GpuInfo>> from_json(const std::string& text) {
  try {
    std::vector<GpuInfo> gpus;
    for (const auto& item : nlohmann::json::parse(text)) {
      GpuInfo gpu;
      item.at("index").get_to(gpu.index);
      item.at("name").get_to(gpu.name);
      item.at("uuid").get_to(gpu.uuid);
      item.at("pci").get_to(gpu.pci);
      item.at("memory_bytes").get_to(gpu.memory_bytes);
      item.at("multiprocessors").get_to(gpu.multiprocessors);
      const std::string capability = item.at("compute_capability");
      if (sscanf(capability.c_str(), "%d.%d", &gpu.capability_major, &gpu.capability_minor) != 2) {
        return Error{fmt::format("\"{}\" is not a compute capability.", capability)};
      }
      gpus.push_back(std::move(gpu));
    }
    return gpus;
  } catch (const nlohmann::json::exception& error) {
    return Error{fmt::format("The list of GPUs cannot be read: {}.", error.what())};
  }
}

Result<std::vector<GpuInfo>> query_gpus(const wire::Address& server) {
  std::vector<std::string> here = current_environment();
  if (const auto reached = reach(server, here, false); !reached) return reached.error();
  auto env = run_environment(std::move(here), own_tree(), server, "");
  if (!env) return env.error();
  unset_env(*env, "CUDA_VISIBLE_DEVICES");  // the server's list, not what is left of it here

  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Error{fmt::format("Cannot make a pipe: {}.", strerror(errno))};
  Fd out(ends[0]), in(ends[1]);
  auto probe = spawn({.argv = {"nearmetal", "__gpus-probe"},
                      .program = "/proc/self/exe",
                      .env = std::move(*env),
                      .fds = {{in.get(), 1}},
                      .die_with_parent = true});
  if (!probe) return probe.error();
  in.reset();
  std::string text;
  const bool finished = read_all(out.get(), text);
  if (!finished) probe->signal(SIGKILL);
  const ExitStatus status = probe->wait();
  if (!finished) {
    return Error{fmt::format("The server at {} has not listed its GPUs within {} s. Look at its log.", server.text(),
                             kProbeTimeout.count() / 1000)};
  }
  if (!status.clean()) {
    return Error{fmt::format("The GPUs of the server at {} could not be listed: the probe {}.", server.text(),
                             status.describe())};
  }
  return from_json(text);
}

}  // namespace nm::cmd
