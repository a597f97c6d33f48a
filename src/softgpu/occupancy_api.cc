#include <algorithm>

#include "softgpu/launch.h"
#include "softgpu/occupancy.h"

namespace nm::softgpu {

int blocks_per_multiprocessor(const ptx::KernelInfo& info, unsigned block_size, size_t dynamic_shared) {
  if (block_size == 0 || block_size > static_cast<unsigned>(max_threads_of(info))) return 0;
  const int warps = static_cast<int>((block_size + kWarp - 1) / kWarp);
  // Registers are handed out by the warp in units of 256, shared memory by the block in units of 128 bytes.
  const int warp_registers = (registers_of(info) * kWarp + 255) / 256 * 256;
  const size_t shared = (info.static_shared + dynamic_shared + kReservedSharedPerBlock + 127) / 128 * 128;
  const int by_threads = kThreadsPerMultiprocessor / (warps * kWarp);
  const int by_registers = kRegistersPerMultiprocessor / warp_registers / warps;
  const int by_shared = static_cast<int>(kSharedPerMultiprocessor / shared);
  return std::min({by_threads, by_registers, by_shared, kBlocksPerMultiprocessor});
}

namespace {

void max_potential(ContextCall& c, int* grid, int* block, CUfunction function, CUoccupancyB2DSize shared_of,
                   size_t shared, int limit) {
  require(grid != nullptr && block != nullptr);
  const auto f = function_of(c, function);
  const ptx::KernelInfo info = f->info();
  const int most = std::min(max_threads_of(info), limit > 0 ? limit : kMaxThreadsPerBlock);
  c.lock.unlock();  // the program's function may call the driver
  int best_threads = 0;
  *block = 0;
  for (int size = (most + kWarp - 1) / kWarp * kWarp; size > 0; size -= kWarp) {
    const int threads = std::min(size, most);
    const int blocks =
        blocks_per_multiprocessor(info, static_cast<unsigned>(threads), shared_of ? shared_of(threads) : shared);
    if (blocks * threads > best_threads) {
      best_threads = blocks * threads;
      *block = threads;
      *grid = blocks * kMultiprocessors;
    }
  }
  c.lock.lock();
}

}  // namespace
}  // namespace nm::softgpu

using namespace nm::softgpu;

extern "C" {

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* num_blocks, CUfunction func, int block_size,
                                                              size_t dynamic_smem_size, unsigned flags) {
  return in_context([&](ContextCall& c) {
    require(num_blocks != nullptr && block_size > 0 && flags <= CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE);
    *num_blocks =
        blocks_per_multiprocessor(function_of(c, func)->info(), static_cast<unsigned>(block_size), dynamic_smem_size);
  });
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* num_blocks, CUfunction func, int block_size,
                                                     size_t dynamic_smem_size) {
  return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(num_blocks, func, block_size, dynamic_smem_size, 0);
}

CUresult cuOccupancyMaxPotentialBlockSizeWithFlags(int* min_grid_size, int* block_size, CUfunction func,
                                                   CUoccupancyB2DSize block_size_to_dynamic_smem_size,
                                                   size_t dynamic_smem_size, int block_size_limit, unsigned flags) {
  return in_context([&](ContextCall& c) {
    require(flags <= CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE);
    max_potential(c, min_grid_size, block_size, func, block_size_to_dynamic_smem_size, dynamic_smem_size,
                  block_size_limit);
  });
}

CUresult cuOccupancyMaxPotentialBlockSize(int* min_grid_size, int* block_size, CUfunction func,
                                          CUoccupancyB2DSize block_size_to_dynamic_smem_size, size_t dynamic_smem_size,
                                          int block_size_limit) {
  return cuOccupancyMaxPotentialBlockSizeWithFlags(min_grid_size, block_size, func, block_size_to_dynamic_smem_size,
                                                   dynamic_smem_size, block_size_limit, 0);
}

CUresult cuOccupancyAvailableDynamicSMemPerBlock(size_t* dynamic_smem_size, CUfunction func, int num_blocks,
                                                 int block_size) {
  return in_context([&](ContextCall& c) {
    require(dynamic_smem_size != nullptr && num_blocks > 0 && block_size > 0);
    const auto& info = function_of(c, func)->info();
    require(blocks_per_multiprocessor(info, static_cast<unsigned>(block_size), 0) >= num_blocks);
    const size_t each = static_cast<size_t>(kSharedPerMultiprocessor / num_blocks) / 128 * 128;
    const size_t fixed = info.static_shared + kReservedSharedPerBlock;
    *dynamic_smem_size = std::min<size_t>(each > fixed ? each - fixed : 0, kSharedPerBlockOptIn - info.static_shared);
  });
}

CUresult cuOccupancyMaxPotentialClusterSize(int* cluster_size, CUfunction func, const CUlaunchConfig* config) {
  return in_context([&](ContextCall& c) {
    require(cluster_size != nullptr && config != nullptr);
    const auto f = function_of(c, func);
    *cluster_size = f->settings->non_portable_cluster ? kMaxClusterNonPortable : kMaxCluster;
  });
}

CUresult cuOccupancyMaxActiveClusters(int* num_clusters, CUfunction func, const CUlaunchConfig* config) {
  return in_context([&](ContextCall& c) {
    require(num_clusters != nullptr && config != nullptr && (config->numAttrs == 0 || config->attrs != nullptr));
    const auto f = function_of(c, func);
    unsigned blocks = 1;
    for (const int n : f->settings->cluster) blocks *= n > 0 ? static_cast<unsigned>(n) : 1;
    for (unsigned i = 0; i < config->numAttrs; ++i) {
      if (config->attrs[i].id != CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) continue;
      const auto& d = config->attrs[i].value.clusterDim;
      blocks = d.x * d.y * d.z;
    }
    require(blocks >= 1 && blocks <= static_cast<unsigned>(f->settings->non_portable_cluster ? kMaxClusterNonPortable
                                                                                             : kMaxCluster),
            CUDA_ERROR_INVALID_CLUSTER_SIZE);
    const unsigned size = config->blockDimX * config->blockDimY * config->blockDimZ;
    const int each = blocks_per_multiprocessor(f->info(), size, config->sharedMemBytes);
    *num_clusters = each * kMultiprocessors / static_cast<int>(blocks);
  });
}

}  // extern "C"
