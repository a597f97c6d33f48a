// A block's state: its warps with their special registers, shared and local memory, call frames. Blocks take turns with
// their warps here, and clusters with their blocks.
#include <sys/mman.h>

#include <algorithm>

#include "softgpu/ptx/program.h"
#include "softgpu/ptx/scheduler.h"

namespace nm::softgpu::ptx {
namespace {

constexpr uint64_t kMaxFrameBytes = uint64_t{1} << 30;  // of a block

void fill(Warp& warp, Special which, uint32_t value) {
  uint32_t* to = reinterpret_cast<uint32_t*>(warp.specials.data() + (special_ref(which) & ~3u));
  std::fill(to, to + kLanes, value);
}
void fill(Warp& warp, Special64 which, uint64_t value) {
  uint64_t* to = reinterpret_cast<uint64_t*>(warp.specials.data() + (special_ref(which) & ~3u));
  std::fill(to, to + kLanes, value);
}
// Of a warp that has run before: all lanes hold what the first does.
void refill(Warp& warp, Special which, uint32_t value) {
  if (*reinterpret_cast<uint32_t*>(warp.specials.data() + (special_ref(which) & ~3u)) != value) {
    fill(warp, which, value);
  }
}
void fill3(Warp& warp, Special first, const uint32_t* values) {
  for (uint32_t i = 0; i < 3; ++i) fill(warp, static_cast<Special>(static_cast<uint32_t>(first) + i), values[i]);
}
void refill3(Warp& warp, Special first, const uint32_t* values) {
  for (uint32_t i = 0; i < 3; ++i) refill(warp, static_cast<Special>(static_cast<uint32_t>(first) + i), values[i]);
}
uint32_t* lanes_of(Warp& warp, Special which) {
  return reinterpret_cast<uint32_t*>(warp.specials.data() + (special_ref(which) & ~3u));
}

// What is the same for every block of the grid.
void set_grid_specials(Warp& warp, const GridState& grid, uint32_t threads) {
  const Launch& launch = grid.launch;
  fill3(warp, Special::ntid_x, launch.block.data());
  fill3(warp, Special::nctaid_x, launch.grid.data());
  fill3(warp, Special::cluster_nctaid_x, grid.cluster);
  fill(warp, Special::cluster_nctarank, grid.cluster[0] * grid.cluster[1] * grid.cluster[2]);
  for (uint32_t i = 0; i < 3; ++i) {
    fill(warp, static_cast<Special>(static_cast<uint32_t>(Special::nclusterid_x) + i),
         launch.grid[i] / grid.cluster[i]);
  }
  fill(warp, Special::warpid, warp.index);
  fill(warp, Special::nwarpid, (threads + kLanes - 1) / kLanes);
  fill(warp, Special::nsmid, grid.workers);
  fill(warp, Special::dynamic_smem_size, launch.dynamic_shared);
  fill(warp, Special::total_smem_size, grid.shared_bytes);
  fill(warp, Special::aggr_smem_size, grid.shared_bytes);
  fill(warp, Special::warp_size, kLanes);
  fill(warp, Special::zero, 0);
  fill(warp, Special::is_explicit_cluster, grid.explicit_cluster ? ~0u : 0);
  fill(warp, Special::envreg1, static_cast<uint32_t>(grid.workspace >> 32));
  fill(warp, Special::envreg2, static_cast<uint32_t>(grid.workspace));
  const uint32_t reserved = grid.shared_bytes - grid.reserved_bytes;
  fill(warp, Special::reserved_base, reserved);
  fill(warp, Special::reserved_end, grid.shared_bytes);
  fill(warp, Special::reserved_bytes, grid.reserved_bytes);
  const uint32_t dynamic = reserved - launch.dynamic_shared;
  fill(warp, Special::dynamic_base, dynamic);
  fill(warp, Special64::dynamic_base, dynamic);
  fill(warp, Special64::gridid, launch.grid_id);
  fill(warp, Special64::param_base, reinterpret_cast<uint64_t>(grid.params.data()));
  const auto& block = launch.block;
  for (uint32_t l = 0; l < kLanes; ++l) {
    const uint32_t thread = warp.index * kLanes + l;
    lanes_of(warp, Special::tid_x)[l] = thread % block[0];
    lanes_of(warp, Special::tid_y)[l] = thread / block[0] % block[1];
    lanes_of(warp, Special::tid_z)[l] = thread / block[0] / block[1];
    lanes_of(warp, Special::laneid)[l] = l;
    lanes_of(warp, Special::lanemask_eq)[l] = 1u << l;
    lanes_of(warp, Special::lanemask_lt)[l] = (1u << l) - 1;
    lanes_of(warp, Special::lanemask_le)[l] = (2u << l) - 1;
    lanes_of(warp, Special::lanemask_gt)[l] = ~((2u << l) - 1);
    lanes_of(warp, Special::lanemask_ge)[l] = ~((1u << l) - 1);
  }
}

// What start_block() sets, once for all lanes.
void set_block_specials(Warp& warp) {
  const uint32_t zeros[3] = {};
  fill3(warp, Special::ctaid_x, zeros);
  fill3(warp, Special::clusterid_x, zeros);
  fill3(warp, Special::cluster_ctaid_x, zeros);
  fill(warp, Special::cluster_ctarank, 0);
  fill(warp, Special::smid, 0);
}

bool prepare(Block& block, const GridState& grid, uint32_t threads) {
  block.grid = &grid;
  block.warps.resize((threads + kLanes - 1) / kLanes);
  block.spare_frames.resize(grid.program->functions.size());
  if (grid.shared_bytes != 0) {
    block.shared = AlignedBytes(grid.shared_bytes);
    if (block.shared.data() == nullptr) return false;
  }
  if (grid.local_stride != 0) {
    block.local_bytes = grid.local_stride * block.warps.size() * kLanes;
    void* memory =
        ::mmap(nullptr, block.local_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return false;
    block.local = static_cast<char*>(memory);
  }
  for (uint32_t i = 0; i < block.warps.size(); ++i) {
    Warp& warp = block.warps[i];
    warp.block = &block;
    warp.index = i;
    const uint32_t left = threads - i * kLanes;
    warp.exist = left >= kLanes ? kAllLanes : (1u << left) - 1;
    warp.specials = AlignedBytes(kSpecialBytes);
    if (warp.specials.data() == nullptr) return false;
    if (block.local != nullptr) warp.local = block.local + grid.local_stride * kLanes * i;
    set_grid_specials(warp, grid, threads);
    set_block_specials(warp);
  }
  return true;
}

}  // namespace

bool start_block(Block& block, const GridState& grid, const uint32_t ctaid[3], uint32_t worker) {
  const Launch& launch = grid.launch;
  const uint32_t threads = launch.block[0] * launch.block[1] * launch.block[2];
  if (block.grid == nullptr) {
    if (!prepare(block, grid, threads)) return false;
  } else if (grid.shared_bytes != 0) {
    std::memset(block.shared.data(), 0, grid.shared_bytes);
  }
  uint32_t cluster_id[3], in_cluster[3];
  for (int i = 0; i < 3; ++i) {
    block.ctaid[i] = ctaid[i];
    cluster_id[i] = ctaid[i] / grid.cluster[i];
    in_cluster[i] = ctaid[i] % grid.cluster[i];
  }
  block.rank = in_cluster[0] + grid.cluster[0] * (in_cluster[1] + grid.cluster[1] * in_cluster[2]);
  block.alive = threads;
  for (Barrier& barrier : block.barriers) barrier = {};
  Exec scratch;
  for (Warp& warp : block.warps) {
    warp.alive = warp.exist;
    warp.ready = true;
    warp.spins = 0;
    warp.cluster_phase = 0;
    refill3(warp, Special::ctaid_x, block.ctaid);
    refill3(warp, Special::clusterid_x, cluster_id);
    refill3(warp, Special::cluster_ctaid_x, in_cluster);
    refill(warp, Special::cluster_ctarank, block.rank);
    refill(warp, Special::smid, worker);
    warp.fragments.clear();
    scratch.grid = &grid;
    Frame* frame = push_frame(scratch, warp, *grid.kernel, nullptr, nullptr, warp.exist);
    if (frame == nullptr) return false;
    Fragment fragment;
    fragment.mask = warp.exist;
    fragment.frame = frame;
    fragment.pc = grid.kernel->code.data();
    warp.fragments.push_back(fragment);
  }
  return true;
}

Frame* push_frame(Exec& x, Warp& warp, const Function& function, Frame* parent, const Inst* call, uint32_t mask) {
  Block& block = *warp.block;
  const uint64_t offset = parent == nullptr ? 0 : parent->local_offset + parent->function->local_bytes;
  const uint32_t depth = parent == nullptr ? 0 : parent->depth + 1;
  const uint64_t bytes = function.frame_bytes + uint64_t{kLanes} * function.param_bytes;
  const bool too_deep = depth > x.grid->max_depth || offset + function.local_bytes > x.grid->local_stride;
  if (too_deep || block.frame_bytes + bytes > kMaxFrameBytes) {
    x.raise(Fault::hardware_stack, 0, "the stack of a thread overflows in a call of " + function.name);
    return nullptr;
  }
  auto& spare = block.spare_frames[function.index];
  std::unique_ptr<Frame> frame;
  if (!spare.empty()) {
    frame = std::move(spare.back());
    spare.pop_back();
    std::memset(frame->registers.data(), 0, frame->registers.size());
  } else {
    frame = std::make_unique<Frame>();
    frame->function = &function;
    frame->registers = AlignedBytes(function.frame_bytes);
    if (frame->registers.data() == nullptr) {
      x.raise(Fault::out_of_memory, 0, "no memory for the registers of " + function.name);
      return nullptr;
    }
    frame->params.resize(size_t{kLanes} * function.param_bytes);
    block.frame_bytes += bytes;
  }
  frame->parent = parent;
  frame->call = call;
  frame->live = mask;
  frame->depth = depth;
  frame->local_offset = offset;
  if (function.local_base != kNoRef) {
    uint64_t* base = reinterpret_cast<uint64_t*>(frame->registers.data() + (function.local_base & ~3u));
    std::fill(base, base + kLanes, offset);
  }
  warp.frames.push_back(std::move(frame));
  return warp.frames.back().get();
}

void drop_frame(Warp& warp, Frame* frame) {
  for (size_t i = warp.frames.size(); i-- > 0;) {
    if (warp.frames[i].get() != frame) continue;
    warp.block->spare_frames[frame->function->index].push_back(std::move(warp.frames[i]));
    warp.frames[i] = std::move(warp.frames.back());
    warp.frames.pop_back();
    return;
  }
}

Turn run_block(Exec& x, Block& block) {
  x.block = &block;
  x.shared_begin = reinterpret_cast<uint64_t>(block.shared.data());
  x.shared_end = x.shared_begin + block.grid->shared_bytes;
  bool spinning = true, any = false, more = false;
  for (Warp& warp : block.warps) {
    if (!warp.ready || warp.fragments.empty()) continue;
    any = true;
    switch (run_warp(x, warp)) {
      case Turn::fault:
        return Turn::fault;
      case Turn::finished:
      case Turn::blocked:
        warp.ready = false;
        for (const Fragment& fragment : warp.fragments) warp.ready |= fragment.state == State::ready;
        spinning = false;
        break;
      case Turn::spinning:
        break;
      case Turn::more:
        spinning = false;
        more = true;
        break;
    }
  }
  if (block.alive == 0) return Turn::finished;
  for (const Warp& warp : block.warps) any |= warp.ready && !warp.fragments.empty();
  if (!any) return Turn::blocked;
  return spinning && !more ? Turn::spinning : Turn::more;
}

Turn run_cluster(Exec& x, Cluster& cluster) {
  bool spinning = true, more = false;
  for (auto& block : cluster.blocks) {
    if (block->alive == 0) continue;
    switch (run_block(x, *block)) {
      case Turn::fault:
        return Turn::fault;
      case Turn::finished:
        spinning = false;
        break;
      case Turn::blocked:
        break;
      case Turn::spinning:
        more = true;
        break;
      case Turn::more:
        more = true;
        spinning = false;
        break;
    }
  }
  if (cluster.finished()) return Turn::finished;
  for (auto& block : cluster.blocks) {
    for (const Warp& warp : block->warps) more |= warp.ready && !warp.fragments.empty();
  }
  if (!more) return Turn::blocked;
  return spinning ? Turn::spinning : Turn::more;
}

}  // namespace nm::softgpu::ptx
