#include "client/client.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mutex>
#include <string_view>
#include <unordered_set>

#include "base/version.h"
#include "client/call.h"
#include "client/context.h"
#include "client/graph_slots.h"
#include "client/host_memory.h"
#include "client/identity.h"
#include "client/lane_copy.h"
#include "client/statistics.h"
#include "remote.h"
#include "wire/address.h"

namespace nm::client {
namespace {

// A worker whose driver lies where this process has something else cannot be used: another one has other addresses.
constexpr int kWorkersToTry = 8;

std::atomic<Client*> g_client{nullptr};
std::atomic<bool> g_forked{false};
std::atomic<uint64_t> g_local{0};
std::atomic<uint32_t> g_threads{0};
std::mutex g_start_mutex;
thread_local bool t_in_host_function = false;

std::vector<uint8_t> forwarded_environment() {
  std::vector<uint8_t> out;
  for (std::string_view name : wire::kForwardedEnv) {
    const char* value = getenv(std::string(name).c_str());
    if (!value || out.size() + name.size() + strlen(value) + 2 > wire::kMaxEnv) continue;
    out.insert(out.end(), name.begin(), name.end());
    out.push_back('=');
    out.insert(out.end(), value, value + strlen(value) + 1);
  }
  return out;
}

Result<wire::Address> server_address() {
  const char* text = getenv("NEARMETAL_SERVER");
  if (!text || !*text) return wire::default_address();
  return wire::parse_address(text);
}

void print_statistics() {
  Client* client = Client::get();
  if (client && !g_forked) Statistics::print(client->channel(), g_local);
}

// What was posted and not sent yet belongs to a program that ends well, too.
void at_exit() {
  Client* client = Client::get();
  if (client && !g_forked) client->channel().flush();
}

bool on_push(wire::PushKind kind, std::span<const uint8_t> body, uint64_t bulk,
             const std::function<bool(void*, uint64_t)>& read) {
  wire::Reader in(body);
  if (kind == wire::PushKind::memory) return receive_pushed_memory(in.u64(), bulk, read);
  if (kind == wire::PushKind::lane_memory) {
    const uint64_t address = in.u64();
    return bulk == 0 && receive_lane_push(address, in.u64());
  }
  if (kind == wire::PushKind::graph_output) {
    uint64_t slot = in.u64();
    return receive_graph_output(slot, in.u64(), bulk, read);
  }
  if (kind == wire::PushKind::graph_done) return graph_launch_is_over(in.u64()), bulk == 0;
  if (kind == wire::PushKind::graph_gone) {
    uint64_t slot = in.u64();
    return drop_graph_slot(slot, in.u64()), bulk == 0;
  }
  if (kind != wire::PushKind::output || bulk > (1u << 20)) return false;
  std::string text(bulk, '\0');
  if (!read(text.data(), bulk)) return false;
  // Through stdio, so that it keeps its place among what the program prints.
  FILE* to = in.u64() == 2 ? stderr : stdout;
  fwrite(text.data(), 1, text.size(), to);
  return true;
}

CUresult explain(const std::string& message, CUresult code) {
  fprintf(stderr, "nearmetal: %s\n", message.c_str());
  return code;
}

}  // namespace

Client* Client::get() { return g_client.load(std::memory_order_acquire); }

// Of the client that get() gives.
CUresult Client::hear_facts() {
  std::vector<uint8_t> blob;
  if (CUresult e = remote::nm_describe(&blob)) return e;
  wire::Reader in(blob);
  if (read_facts(in, &facts_)) return CUDA_SUCCESS;
  channel_->fail("it describes its devices in a way that cannot be read");
  return CUDA_ERROR_UNKNOWN;
}

CUresult Client::start_over(Fd connection) {
  std::lock_guard lock(g_start_mutex);
  delete g_client.exchange(nullptr);
  auto* client = new Client;
  client->channel_ = Channel::over(wire::socket_stream(std::move(connection), true), on_push);
  g_client.store(client, std::memory_order_release);
  return client->hear_facts();
}

CUresult Client::start() {
  if (g_forked) return CUDA_ERROR_NOT_INITIALIZED;
  std::lock_guard lock(g_start_mutex);
  if (get()) return get()->channel().lost() ? CUDA_ERROR_DEVICE_UNAVAILABLE : CUDA_SUCCESS;
  auto address = server_address();
  if (!address) return explain(address.error().message, CUDA_ERROR_NO_DEVICE);

  auto* client = new Client;  // lives as long as the process: other threads may call while it exits
  const char* strict = getenv("NEARMETAL_STRICT");
  const char* trace = getenv("NEARMETAL_TRACE");
  client->strict_ = strict && strcmp(strict, "0") != 0;
  client->traced_ = trace && strcmp(trace, "0") != 0;
  bool placed = false;
  for (int attempt = 0; attempt < kWorkersToTry && !placed; attempt++) {
    auto channel = Channel::connect(*address, wire::Purpose::cuda, forwarded_environment(), on_push);
    if (!channel) {
      delete client;
      return explain(channel.error().message, CUDA_ERROR_NO_DEVICE);
    }
    client->channel_ = std::move(*channel);
    g_client.store(client, std::memory_order_release);
    CUresult result = client->hear_facts();
    if (result != CUDA_SUCCESS) {
      g_client.store(nullptr, std::memory_order_release);
      // An empty list is a wish to have none, and no mistake.
      const char* visible = getenv("CUDA_VISIBLE_DEVICES");
      if (result == CUDA_ERROR_NO_DEVICE && visible && *visible) {
        explain("The server at " + address->text() + " has no GPU that CUDA_VISIBLE_DEVICES=" + visible +
                    " names. `nearmetal gpus` lists those it has.",
                result);
      }
      return result;  // `client` stays: the flusher thread of a lost channel may still hold it
    }
    placed = place_identity(client->facts_.identity);
    if (!placed) {
      g_client.store(nullptr, std::memory_order_release);
      client->channel_.reset();
    }
  }
  if (!placed) {
    return explain("No worker of the server at " + address->text() +
                       " fits beside what this process has mapped; start the program again.",
                   CUDA_ERROR_DEVICE_UNAVAILABLE);
  }
  create_primary_contexts(static_cast<int>(client->facts_.devices.size()));
  pthread_atfork(nullptr, nullptr, [] {
    g_forked = true;
    abandon_lanes();
    if (Client* c = Client::get()) c->channel().abandon();
  });
  atexit(at_exit);
  if (const char* stats = getenv("NEARMETAL_STATS"); stats && strcmp(stats, "0") != 0) {
    Statistics::start();
    atexit(print_statistics);
  }
  return CUDA_SUCCESS;
}

CUresult enter() {
  if (t_in_host_function) [[unlikely]] return CUDA_ERROR_NOT_PERMITTED;
  if (!Client::get() || g_forked.load(std::memory_order_relaxed)) [[unlikely]] return CUDA_ERROR_NOT_INITIALIZED;
  return CUDA_SUCCESS;
}

void forbid_calls(bool forbid) { t_in_host_function = forbid; }

void count_local() { g_local.fetch_add(1, std::memory_order_relaxed); }

const wire::DeviceFacts* device_facts(CUdevice device) {
  const auto& devices = Client::get()->facts().devices;
  return device >= 0 && static_cast<size_t>(device) < devices.size() ? &devices[device] : nullptr;
}

CUresult not_supported(const char* function) {
  static std::mutex mutex;
  static auto* named = new std::unordered_set<std::string_view>;
  std::lock_guard lock(mutex);
  if (named->insert(function).second) {
    fprintf(stderr, "nearmetal: %s is not carried; it answers CUDA_ERROR_NOT_SUPPORTED (docs/coverage.md).\n", function);
  }
  return CUDA_ERROR_NOT_SUPPORTED;
}

uint32_t thread_number() {
  thread_local uint32_t number = 0;
  if (!number) number = g_threads.fetch_add(1) + 1;
  return number;
}

}  // namespace nm::client

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuInit(unsigned flags) {
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  return Client::start();
}

NM_EXPORT CUresult cuDriverGetVersion(int* version) {
  if (!version) return CUDA_ERROR_INVALID_VALUE;
  // Answered before cuInit too: then with the release whose functions we export.
  constexpr int kExportedRelease = 13000;
  Client* client = Client::get();
  *version = client ? client->facts().driver_version : kExportedRelease;
  count_local();
  return CUDA_SUCCESS;
}

}  // extern "C"
