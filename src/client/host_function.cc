// Functions of the program that run in stream order. The server calls them over a connection of its own
// (wire/events.h); one thread of ours runs them, one after the other, as CUDA does.
#include "client/host_function.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <vector>

#include "client/call.h"
#include "client/capture.h"
#include "client/client.h"
#include "client/context.h"
#include "client/copy.h"
#include "client/graph_slots.h"
#include "client/handles.h"
#include "client/host_writes.h"
#include "remote.h"
#include "wire/events.h"

namespace nm::client {
namespace {

enum Form : uint32_t { kLaunched = 0, kCallback = 1 };

struct Function {
  CUhostFn host = nullptr;
  CUstreamCallback callback = nullptr;
  CUstream stream = nullptr;
  void* user_data = nullptr;
  bool once = true;
};

std::mutex g_mutex;
std::map<uint64_t, Function>& functions() {
  static auto* all = new std::map<uint64_t, Function>;
  return *all;
}
uint64_t g_next = 1;
int g_connection = -1;
std::atomic<int> g_in_streams{0};  // that run once
std::atomic<bool> g_in_graphs{false};

bool transfer(bool out, int fd, void* data, size_t size) {
  auto* p = static_cast<char*>(data);
  while (size) {
    ssize_t n = out ? send(fd, p, size, MSG_NOSIGNAL) : recv(fd, p, size, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    p += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

// True: a function that runs once.
bool run(const wire::EventRequest& request) {
  Function f;
  {
    std::lock_guard lock(g_mutex);
    auto it = functions().find(request.token);
    if (it == functions().end()) return false;  // a server that makes up tokens calls nothing
    f = it->second;
    if (f.once) functions().erase(it);
  }
  forbid_calls(true);
  if (f.host) f.host(f.user_data);
  else f.callback(f.stream, static_cast<CUresult>(request.status), f.user_data);
  forbid_calls(false);
  return f.once;
}

bool drop(uint64_t size) {
  uint8_t bytes[4096];
  for (; size; size -= std::min<uint64_t>(size, sizeof bytes)) {
    if (!transfer(false, g_connection, bytes, std::min<uint64_t>(size, sizeof bytes))) return false;
  }
  return true;
}

// What graphs wrote to memory that the function may read.
bool take_updates(uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    wire::EventUpdate update;
    if (!transfer(false, g_connection, &update, sizeof update)) return false;
    const uint64_t size = graph_slot_size(update.slot);
    if (!size) {  // it ended while this was on its way
      if (!drop(update.size)) return false;
      continue;
    }
    if (update.size != size) return false;
    std::vector<uint8_t> bytes(update.size);
    if (!transfer(false, g_connection, bytes.data(), bytes.size())) return false;
    write_graph_output(update.slot, update.version, bytes);
  }
  return true;
}

// And what the function wrote that graphs may read.
bool answer(uint64_t token) {
  std::vector<SlotUpdate> changes = take_graph_changes();
  wire::EventDone done{token, static_cast<uint32_t>(changes.size()), 0};
  if (!transfer(true, g_connection, &done, sizeof done)) return false;
  for (SlotUpdate& change : changes) {
    wire::EventUpdate update{change.slot, change.version, change.bytes.size()};
    if (!transfer(true, g_connection, &update, sizeof update)) return false;
    if (!transfer(true, g_connection, change.bytes.data(), change.bytes.size())) return false;
  }
  return true;
}

void* serve(void*) {
  prctl(PR_SET_NAME, "nearmetal-host");
  wire::EventRequest request;
  while (transfer(false, g_connection, &request, sizeof request)) {
    if (!take_updates(request.updates)) break;
    const bool once = run(request);
    if (!answer(request.token)) break;
    if (once) g_in_streams--;
  }
  shutdown(g_connection, SHUT_RDWR);
  // Streams would go on without the program's functions: no result is valid any more.
  Client::get()->channel().fail("the connection for host functions ended");
  return nullptr;
}

// Connects on first use. The lock is held.
CUresult connect_events() {
  if (g_connection >= 0) return CUDA_SUCCESS;
  Channel& channel = Client::get()->channel();
  auto fd = Channel::join(channel.address(), channel.token(), wire::Purpose::events);
  if (!fd) {
    channel.fail(fd.error().message);
    return CUDA_ERROR_DEVICE_UNAVAILABLE;
  }
  g_connection = fd->release();
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  pthread_create(&thread, nullptr, serve, nullptr);
  pthread_detach(thread);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return CUDA_SUCCESS;
}

CUresult add(Function f, uint64_t* token) {
  std::lock_guard lock(g_mutex);
  if (CUresult e = connect_events()) return e;
  *token = g_next++;
  functions()[*token] = f;
  return CUDA_SUCCESS;
}

void forget(uint64_t token) {
  std::lock_guard lock(g_mutex);
  functions().erase(token);
}

CUresult submit(CUstream stream, Form form, Function f) {
  if (CUresult e = enter()) return e;
  if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT;
  // What is captured runs at every launch of its graph.
  bool captured;
  if (CUresult e = is_captured(stream, &captured)) return e;
  f.once = !captured;
  // It may read what copies write to memory that only this process has: their bytes have to come before it is asked
  // for.
  if (!captured) {
    if (CUresult e = wait_for_host_copies()) return e;
  }
  uint64_t token;
  if (CUresult e = add(f, &token)) return e;
  // A callback cannot be captured, and a driver says so at once.
  Answered answered(captured && form == kCallback);
  if (captured)
    g_in_graphs = true;
  else
    g_in_streams++;
  CUresult e = remote::nm_host_function(stream, form, token);
  if (e != CUDA_SUCCESS) {
    forget(token);
    if (!captured) g_in_streams--;
  }
  return e;
}

}  // namespace

CUresult keep_host_function(CUhostFn function, void* user_data, uint64_t* token) {
  Function f;
  f.host = function;
  f.user_data = user_data;
  f.once = false;
  g_in_graphs = true;
  return add(f, token);
}

bool host_functions_may_run() { return g_in_streams.load() > 0 || g_in_graphs.load(); }
bool graphs_have_host_functions() { return g_in_graphs.load(); }

bool find_host_function(uint64_t token, CUhostFn* function, void** user_data) {
  std::lock_guard lock(g_mutex);
  auto it = functions().find(token);
  if (it == functions().end()) return false;
  *function = it->second.host;
  *user_data = it->second.user_data;
  return true;
}

}  // namespace nm::client

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void* user_data) {
  if (!function) return CUDA_ERROR_INVALID_VALUE;
  Function f;
  f.host = function;
  f.user_data = user_data;
  return submit(stream, kLaunched, f);
}

NM_EXPORT CUresult cuStreamAddCallback(CUstream stream, CUstreamCallback callback, void* user_data, unsigned flags) {
  if (!callback || flags) return CUDA_ERROR_INVALID_VALUE;
  Function f;
  f.callback = callback;
  f.stream = stream;
  f.user_data = user_data;
  return submit(stream, kCallback, f);
}

}  // extern "C"
