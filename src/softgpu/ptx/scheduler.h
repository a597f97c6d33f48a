// Running a warp, a block, a cluster for a while. What they have done so far stays in their structures.
#pragma once

#include "softgpu/ptx/exec.h"

namespace nm::softgpu::ptx {

enum class Turn : uint8_t {
  finished,  // every thread has exited
  blocked,   // all wait: for a barrier, or for lanes that wait elsewhere
  spinning,  // it waits by looping; others should run
  more,      // its time slice is over
  fault,     // Exec::fault says which
};

// How long a turn is, in instructions that backward branches repeat; a call counts too. Straight code always ends.
inline constexpr int64_t kWarpTurn = 200000;
inline constexpr int64_t kCallCost = 16;
inline constexpr uint32_t kSpinLimit = 64;        // backward branches of a loop that looks like waiting
inline constexpr uint32_t kPassOverLimit = 4096;  // of any loop, while other lanes of the warp wait

Turn run_warp(Exec& x, Warp& warp);
Turn run_block(Exec& x, Block& block);
Turn run_cluster(Exec& x, Cluster& cluster);

// block.cc: a block's state for a place in the grid; reuses the memory of `block`. False: out of memory.
bool start_block(Block& block, const GridState& grid, const uint32_t ctaid[3], uint32_t worker);

// Frames of a warp. push_frame answers null after raise().
Frame* push_frame(Exec& x, Warp& warp, const Function& function, Frame* parent, const Inst* call, uint32_t mask);
void drop_frame(Warp& warp, Frame* frame);

// barrier.cc
// The fragment at `index` arrives with the lanes of its mask; true when it has to wait.
bool arrive_at_barrier(Exec& x, Warp& warp, size_t index, const Inst& in);
void threads_left(Exec& x, Block& block);  // barriers may be complete now
bool cluster_arrive(Exec& x, Warp& warp, const Inst& in);

}  // namespace nm::softgpu::ptx
