#include "client/host_writes.h"

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "client/call.h"
#include "client/client.h"
#include "client/context.h"
#include "wire_ops.h"

namespace nm::client {
namespace {

struct Write {
  uint64_t first, size;
  uint64_t context, stream, slot;
};

std::atomic<int> g_count{0};
std::mutex g_mutex;
std::map<uint64_t, Write>& writes() {  // oldest first
  static auto* all = new std::map<uint64_t, Write>;
  return *all;
}
uint64_t g_next = 1;

void erase(uint64_t write) {
  if (writes().erase(write)) g_count--;
}

// The stream may be gone, but not its work.
CUresult fence(uint64_t context, uint64_t stream) {
  Call call(op::nm_stream_fence);
  call.in_context(context);
  call.args().u64(stream);
  CUresult result = call.wait();
  if (result != CUDA_ERROR_INVALID_HANDLE) return result;
  Call all(op::cuCtxSynchronize_v2);
  all.in_context(context);
  all.args().u64(0);
  return all.wait();
}

template <typename Matters>
CUresult wait_for(Matters matters) {
  if (g_count.load(std::memory_order_relaxed) == 0) [[likely]]
    return CUDA_SUCCESS;
  std::set<std::pair<uint64_t, uint64_t>> streams;
  std::vector<uint64_t> found;
  {
    std::lock_guard lock(g_mutex);
    for (auto& [write, w] : writes()) {
      if (!matters(w)) continue;
      found.push_back(write);
      streams.insert({w.context, w.stream});
    }
  }
  for (auto [context, stream] : streams) {
    if (CUresult e = fence(context, stream)) return e;
  }
  // Whose bytes have not come by now has failed.
  std::lock_guard lock(g_mutex);
  for (uint64_t write : found) erase(write);
  return CUDA_SUCCESS;
}

}  // namespace

uint64_t expect_host_write(const void* first, size_t size, CUstream stream, uint64_t slot) {
  uint64_t handle = 0;
  if (resolve_stream(stream, &handle) != CUDA_SUCCESS) return 0;
  std::lock_guard lock(g_mutex);
  uint64_t write = g_next++;
  writes()[write] = {reinterpret_cast<uint64_t>(first), size, current_context(), handle, slot};
  g_count++;
  return write;
}

void host_write_is_over(uint64_t write) {
  std::lock_guard lock(g_mutex);
  erase(write);
}

void host_write_has_come(uint64_t first, uint64_t size) {
  std::lock_guard lock(g_mutex);
  for (auto& [write, w] : writes()) {
    if (w.first == first && w.size == size) return erase(write);
  }
}

void forget_host_writes(uint64_t context) {
  std::lock_guard lock(g_mutex);
  g_count -=
      static_cast<int>(std::erase_if(writes(), [context](const auto& w) { return w.second.context == context; }));
}

CUresult wait_for_host_writes(const void* address, size_t size, uint64_t but_for_slot) {
  auto first = reinterpret_cast<uint64_t>(address);
  return wait_for([&](const Write& w) {
    return first < w.first + w.size && w.first < first + size && !(w.slot && w.slot == but_for_slot);
  });
}

CUresult wait_for_host_copies() {
  return wait_for([](const Write& w) { return w.slot == 0 || w.slot == kOnLanes; });
}

}  // namespace nm::client
