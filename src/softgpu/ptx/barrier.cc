// Barriers of a block and of a cluster. Threads are counted, not warps, so that divergent arrivals add up; where the
// program gives a count, a warp that is not full counts as full, as on the device.
#include <bit>

#include "softgpu/ptx/scheduler.h"

namespace nm::softgpu::ptx {
namespace {

void write_result(Warp& warp, const Fragment& fragment, const Inst& in, uint32_t voters, uint32_t votes) {
  if (in.r[0] == kNoRef) return;
  const BarrierOp op = static_cast<BarrierOp>(in.imm);
  char* base[3] = {fragment.frame->registers.data(), nullptr, warp.specials.data()};
  char* to = base[in.r[0] & 3] + (in.r[0] & ~3u);
  if (op == BarrierOp::red_popc) {
    for (uint32_t m = fragment.mask; m; m &= m - 1) reinterpret_cast<uint32_t*>(to)[std::countr_zero(m)] = votes;
  } else {
    bool holds = op == BarrierOp::red_and ? votes == voters : votes != 0;
    uint32_t* p = reinterpret_cast<uint32_t*>(to);
    *p = (*p & ~fragment.mask) | (holds ? fragment.mask : 0);
  }
}

// Lets everybody on when enough have arrived.
bool complete(Block& block, uint32_t id) {
  Barrier& barrier = block.barriers[id];
  if (!barrier.in_use) return false;
  const bool enough = barrier.expected == 0 ? barrier.waiting >= block.alive : barrier.arrived >= barrier.expected;
  if (!enough) return false;
  for (Warp& warp : block.warps) {
    for (Fragment& fragment : warp.fragments) {
      if (fragment.state != State::barrier || fragment.barrier != id) continue;
      write_result(warp, fragment, *fragment.pc, barrier.voters, barrier.votes);
      fragment.state = State::ready;
      ++fragment.pc;
      warp.ready = true;
    }
  }
  barrier = {};
  return true;
}

void release_cluster(Cluster& cluster) {
  cluster.arrived = 0;
  ++cluster.phase;
  for (auto& block : cluster.blocks) {
    for (Warp& warp : block->warps) {
      for (Fragment& fragment : warp.fragments) {
        if (fragment.state != State::cluster) continue;
        fragment.state = State::ready;
        ++fragment.pc;
        warp.ready = true;
      }
    }
  }
}

}  // namespace

bool arrive_at_barrier(Exec& x, Warp& warp, size_t index, const Inst& in) {
  Fragment& fragment = warp.fragments[index];
  const uint32_t lane = static_cast<uint32_t>(std::countr_zero(fragment.mask));
  const uint32_t id = in.r[1] == kNoRef ? 0 : x.reg<uint32_t>(in.r[1])[lane];
  const uint32_t count = in.r[2] == kNoRef ? 0 : x.reg<uint32_t>(in.r[2])[lane];
  if (id >= kBarriers) {
    x.raise(Fault::illegal_instruction, lane, "barrier " + std::to_string(id) + ": there are only 16");
    return false;
  }
  Block& block = *warp.block;
  Barrier& barrier = block.barriers[id];
  const BarrierOp op = static_cast<BarrierOp>(in.imm);
  const uint32_t threads = static_cast<uint32_t>(std::popcount(fragment.mask));
  if (!barrier.in_use) {
    barrier = {};
    barrier.in_use = true;
    barrier.expected = count;
  }
  barrier.arrived += fragment.mask == warp.alive ? kLanes : threads;
  barrier.waiting += threads;
  if (in.r[3] != kNoRef) {
    uint32_t p = *x.reg<uint32_t>(in.r[3]) ^ (in.flags & 1 ? ~0u : 0);
    barrier.votes += static_cast<uint32_t>(std::popcount(p & fragment.mask));
    barrier.voters += threads;
  }
  if (op == BarrierOp::arrive) {
    complete(block, id);
    return false;
  }
  fragment.state = State::barrier;
  fragment.barrier = id;
  complete(block, id);
  return true;
}

void threads_left(Exec&, Block& block) {
  for (uint32_t id = 0; id < kBarriers; ++id) {
    if (block.barriers[id].in_use && block.alive > 0) complete(block, id);
  }
  Cluster* cluster = block.cluster;
  if (cluster != nullptr && cluster->arrived > 0 && cluster->arrived >= cluster->alive) release_cluster(*cluster);
}

bool cluster_arrive(Exec& x, Warp& warp, const Inst&) {
  Cluster& cluster = *warp.block->cluster;
  warp.cluster_phase = cluster.phase;
  cluster.arrived += static_cast<uint32_t>(std::popcount(x.mask));
  if (cluster.arrived >= cluster.alive) release_cluster(cluster);
  return true;
}

}  // namespace nm::softgpu::ptx
