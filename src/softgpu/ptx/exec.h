// The state of a running grid: launch, block, warp, fragment, frame; and what a handler sees of it (Exec).
//
// A warp is split into fragments: lanes that share a program counter and a call frame. One fragment runs at a time; the
// deepest frame first, then the lowest address, so that lanes meet again behind a branch. A fragment that spins is
// passed over for a while, so that the lane it waits for gets its turn (scheduler.cc).
#pragma once

#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "softgpu/ptx/code.h"

namespace nm::softgpu::ptx {

struct Program;  // program.h
struct Warp;
struct Block;
struct Cluster;

// Special registers that are read in place, each 32 u32 in a warp's special area.
enum class Special : uint32_t {
  tid_x,
  tid_y,
  tid_z,
  ntid_x,
  ntid_y,
  ntid_z,
  ctaid_x,
  ctaid_y,
  ctaid_z,
  nctaid_x,
  nctaid_y,
  nctaid_z,
  laneid,
  warpid,
  nwarpid,
  lanemask_eq,
  lanemask_le,
  lanemask_lt,
  lanemask_ge,
  lanemask_gt,
  smid,
  nsmid,
  dynamic_smem_size,
  total_smem_size,
  aggr_smem_size,
  clusterid_x,
  clusterid_y,
  clusterid_z,
  nclusterid_x,
  nclusterid_y,
  nclusterid_z,
  cluster_ctaid_x,
  cluster_ctaid_y,
  cluster_ctaid_z,
  cluster_nctaid_x,
  cluster_nctaid_y,
  cluster_nctaid_z,
  cluster_ctarank,
  cluster_nctarank,
  warp_size,
  zero,
  is_explicit_cluster,
  envreg1,
  envreg2,
  dynamic_base,
  reserved_base,
  reserved_end,
  reserved_bytes,
  count,
};
// And those of 32 u64, behind them.
enum class Special64 : uint32_t { gridid, param_base, dynamic_base, count };

constexpr Ref special_ref(Special s) { return static_cast<Ref>(s) * 128 | kSpecials; }
constexpr Ref special_ref(Special64 s) {
  return (static_cast<Ref>(Special::count) * 128 + static_cast<Ref>(s) * 256) | kSpecials;
}
inline constexpr size_t kSpecialBytes =
    static_cast<size_t>(Special::count) * 128 + static_cast<size_t>(Special64::count) * 256;

// Memory that handlers index in whole vectors: aligned, with slack behind it.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  explicit AlignedBytes(size_t bytes);
  AlignedBytes(AlignedBytes&& other) noexcept : data_(other.data_), size_(other.size_) {
    other.data_ = nullptr;
    other.size_ = 0;
  }
  AlignedBytes& operator=(AlignedBytes&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~AlignedBytes();
  char* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
};

struct Frame {
  const Function* function = nullptr;
  Frame* parent = nullptr;
  const Inst* call = nullptr;  // in the parent; null: the kernel's frame
  uint32_t live = 0;           // lanes that have not returned
  uint32_t depth = 0;
  uint64_t local_offset = 0;  // of this frame in a thread's local memory
  AlignedBytes registers;
  std::vector<char> params;  // 32 times function->param_bytes
  const CallSite* site = nullptr;
};

enum class State : uint8_t { ready, collective, barrier, cluster, done };

struct Fragment {
  uint32_t mask = 0;
  State state = State::ready;
  bool passed_over = false;
  uint32_t barrier = 0;    // id, while it waits at one
  uint32_t wait_mask = 0;  // membermask, while it waits for a collective
  uint32_t predicate = 0;  // of bar.red: lanes whose predicate holds
  Frame* frame = nullptr;
  const Inst* pc = nullptr;
};

struct Warp {
  Block* block = nullptr;
  uint32_t index = 0;
  uint32_t exist = 0;  // lanes that the block's size gives it
  uint32_t alive = 0;
  std::vector<Fragment> fragments;
  std::vector<std::unique_ptr<Frame>> frames;
  AlignedBytes specials;
  char* local = nullptr;       // of lane 0; lane n's is n strides behind
  bool ready = true;           // some fragment may run
  uint32_t spins = 0;          // backward branches since a fragment was last passed over
  uint32_t cluster_phase = 0;  // at the last barrier.cluster.arrive
};

struct Barrier {
  uint32_t expected = 0;  // threads; zero: all of the block
  uint32_t arrived = 0;   // threads, a partly filled warp counted as full when a count was given
  uint32_t waiting = 0;
  uint32_t votes = 0, voters = 0;  // of bar.red
  bool in_use = false;
};

inline constexpr uint32_t kBarriers = 16;

struct GridState;

struct Block {
  const GridState* grid = nullptr;
  Cluster* cluster = nullptr;
  uint32_t ctaid[3] = {};
  uint32_t rank = 0;  // in the cluster
  std::vector<Warp> warps;
  Barrier barriers[kBarriers];
  uint32_t alive = 0;  // threads
  AlignedBytes shared;
  char* local = nullptr;  // threads * stride
  size_t local_bytes = 0;
  std::vector<std::vector<std::unique_ptr<Frame>>> spare_frames;  // by function index
  uint64_t frame_bytes = 0;
  ~Block();
};

// Blocks that run together: one without clusters. They share one host thread.
struct Cluster {
  std::vector<std::unique_ptr<Block>> blocks;
  uint32_t arrived = 0, waiting = 0, phase = 0;
  uint32_t alive = 0;  // threads
  bool finished() const { return alive == 0; }
};

struct GridState {
  const Program* program = nullptr;
  const Function* kernel = nullptr;
  Launch launch;
  uint32_t static_shared = 0;
  uint32_t shared_bytes = 0;  // a block: static, dynamic, reserved
  uint32_t reserved_bytes =
      0;  // of it at the end, for %reserved_smem_offset_1 (cooperative groups keep barriers there)
  uint64_t local_stride = 0;
  uint32_t max_depth = 0;  // of calls
  uint32_t cluster[3] = {1, 1, 1};
  bool explicit_cluster = false;
  std::vector<uint8_t> params;
  Memory* memory = nullptr;
  const PrintfSink* print = nullptr;
  mutable std::mutex print_mutex;
  const std::atomic<bool>* cancel = nullptr;
  uint64_t workspace = 0;  // of grid synchronisation
  uint32_t workers = 1;
  mutable std::atomic<bool> stop{false};
};

struct Exec {
  char* base[3] = {};
  uint32_t mask = 0;  // lanes the handler acts on
  uint32_t dead = 0;  // lanes that do not exist or have exited: their registers may be overwritten
  Frame* frame = nullptr;
  Warp* warp = nullptr;
  Block* block = nullptr;
  const GridState* grid = nullptr;

  // Bounds. A handler that finds a fault calls raise() and returns.
  uint64_t shared_begin = 0, shared_end = 0;
  uint64_t local_begin = 0, local_stride = 0;  // of lane 0 of the warp
  static constexpr int kRanges = 4;
  Range ranges[kRanges];
  int next_range = 0;
  uint64_t epoch = ~0ull;

  Fault fault = Fault::none;
  std::string detail;
  uint32_t fault_lane = 0;
  bool spin_hint = false;  // an instruction with which programs wait for each other has run
  uint32_t worker = 0;

  alignas(64) uint64_t address[kLanes];    // scratch of memory handlers: host addresses
  alignas(64) uint64_t source[3][kLanes];  // scratch of collectives: what the lanes brought
  uint32_t participants = 0;               // of the collective in hand

  template <class T>
  [[gnu::always_inline]] T* reg(Ref ref) const {
    return reinterpret_cast<T*>(base[ref & 3] + (ref & ~3u));
  }
  [[gnu::always_inline]] bool all() const { return (mask | dead) == kAllLanes; }
  void raise(Fault what, uint32_t lane, std::string why);
};

// Checks Exec::address of the active lanes for an access of `bytes` bytes each; raises and answers false. Accesses by
// way of `space` shared have to stay in the block's (or cluster's) shared memory.
bool check_addresses(Exec& x, Space space, uint32_t bytes, bool write);

// The host address of a shared one (Exec::shared_begin and an offset) that may be in another block of the cluster.
uint64_t in_cluster(const Exec& x, uint64_t address, uint64_t bytes);

// One address, as device functions of the run time (printf) need.
bool readable(Exec& x, uint32_t lane, uint64_t address, uint64_t bytes, bool write);

}  // namespace nm::softgpu::ptx
