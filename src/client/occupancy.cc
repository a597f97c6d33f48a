// Occupancy: asked once per kernel and configuration, then known. An attribute that is set makes all of it unknown.
#include <algorithm>
#include <map>
#include <mutex>
#include <tuple>
#include <vector>

#include "client/client.h"
#include "client/context.h"
#include "client/function.h"
#include "client/handles.h"
#include "client/launch.h"
#include "client/occupancy.h"
#include "remote.h"

namespace nm::client {
namespace {

using Key = std::tuple<uint64_t, int, uint64_t, uint64_t, unsigned>;  // function, question, two arguments, flags

std::mutex g_mutex;
std::map<Key, uint64_t>& answers() {
  static auto* all = new std::map<Key, uint64_t>;
  return *all;
}

template <typename Ask>
CUresult once(const Key& key, uint64_t* out, Ask&& ask) {
  {
    std::lock_guard lock(g_mutex);
    auto it = answers().find(key);
    if (it != answers().end()) {
      *out = it->second;
      count_local();
      return CUDA_SUCCESS;
    }
  }
  if (CUresult e = ask(out)) return e;
  std::lock_guard lock(g_mutex);
  answers()[key] = *out;
  return CUDA_SUCCESS;
}

CUresult blocks(int* out, CUfunction f, int block_size, size_t shared, unsigned flags) {
  if (CUresult e = enter()) return e;
  if (!out) return CUDA_ERROR_INVALID_VALUE;
  uint64_t value;
  Key key{as_handle(f), 0, static_cast<uint64_t>(block_size), shared, flags};
  CUresult e = once(key, &value, [&](uint64_t* v) {
    int n;
    CUresult r = remote::cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(&n, f, block_size, shared, flags);
    *v = static_cast<uint64_t>(n);
    return r;
  });
  if (e == CUDA_SUCCESS) *out = static_cast<int>(value);
  return e;
}

int device_attribute(CUdevice_attribute a) {
  CUdevice device;
  int value = 0;
  if (context_device(current_context(), &device)) cuDeviceGetAttribute(&value, a, device);
  return value;
}

CUresult clusters(uint32_t form, int* out, CUfunction f, const CUlaunchConfig* c) {
  if (CUresult e = enter()) return e;
  if (!out || !c) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = check_launch_attributes(c->attrs, c->numAttrs)) return e;
  return remote::nm_occupancy_clusters(out, form, f, c->gridDimX, c->gridDimY, c->gridDimZ, c->blockDimX, c->blockDimY,
                                       c->blockDimZ, c->sharedMemBytes, c->hStream, c->attrs,
                                       c->numAttrs * sizeof(CUlaunchAttribute));
}

}  // namespace

void forget_occupancy(uint64_t function) {
  std::lock_guard lock(g_mutex);
  std::erase_if(answers(), [&](auto& entry) { return std::get<0>(entry.first) == function; });
}

}  // namespace nm::client

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* out, CUfunction f, int block_size, size_t shared,
                                                                        unsigned flags) {
  return blocks(out, f, block_size, shared, flags);
}
NM_EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* out, CUfunction f, int block_size, size_t shared) {
  return blocks(out, f, block_size, shared, 0);
}

NM_EXPORT CUresult cuOccupancyAvailableDynamicSMemPerBlock(size_t* out, CUfunction f, int count, int block_size) {
  if (CUresult e = enter()) return e;
  if (!out) return CUDA_ERROR_INVALID_VALUE;
  uint64_t value;
  Key key{as_handle(f), 1, static_cast<uint64_t>(count), static_cast<uint64_t>(block_size), 0};
  CUresult e = once(key, &value, [&](uint64_t* v) {
    return remote::cuOccupancyAvailableDynamicSMemPerBlock(reinterpret_cast<size_t*>(v), f, count, block_size);
  });
  if (e == CUDA_SUCCESS) *out = value;
  return e;
}

// The block size with the most threads resident; of equals, the largest. The program's own function says how much
// shared memory a block of each size takes, so the search runs here.
NM_EXPORT CUresult cuOccupancyMaxPotentialBlockSizeWithFlags(int* min_grid, int* block, CUfunction f, CUoccupancyB2DSize shared_of,
                                                             size_t shared, int limit, unsigned flags) {
  if (CUresult e = enter()) return e;
  if (!min_grid || !block) return CUDA_ERROR_INVALID_VALUE;
  int most = 0;
  if (CUresult e = cuFuncGetAttribute(&most, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, f)) return e;
  int warp = std::max(1, device_attribute(CU_DEVICE_ATTRIBUTE_WARP_SIZE));
  int device_most = device_attribute(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
  if (device_most) most = std::min(most, device_most);
  if (limit > 0) most = std::min(most, limit);
  int best_threads = 0, best_block = 0, best_count = 0;
  for (int size = (most + warp - 1) / warp * warp; size > 0; size -= warp) {
    int threads = std::min(size, most), count = 0;
    if (CUresult e = blocks(&count, f, threads, shared_of ? shared_of(threads) : shared, flags)) return e;
    if (count * threads > best_threads) {
      best_threads = count * threads;
      best_block = threads;
      best_count = count;
    }
  }
  *block = best_block;
  *min_grid = best_count * device_attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  return CUDA_SUCCESS;
}
NM_EXPORT CUresult cuOccupancyMaxPotentialBlockSize(int* min_grid, int* block, CUfunction f, CUoccupancyB2DSize shared_of,
                                                    size_t shared, int limit) {
  return cuOccupancyMaxPotentialBlockSizeWithFlags(min_grid, block, f, shared_of, shared, limit, 0);
}

NM_EXPORT CUresult cuOccupancyMaxActiveClusters(int* out, CUfunction f, const CUlaunchConfig* config) {
  return clusters(0, out, f, config);
}
NM_EXPORT CUresult cuOccupancyMaxPotentialClusterSize(int* out, CUfunction f, const CUlaunchConfig* config) {
  return clusters(1, out, f, config);
}

}  // extern "C"
