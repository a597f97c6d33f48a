// A launch: checks it, then spreads its clusters over worker threads.
//
// A worker keeps the clusters it has begun and takes turns with them. Normally that is one; when all of them only wait
// in loops, it begins another, because what they wait for may be a block that has not started.
#include <xmmintrin.h>

#include <chrono>
#include <new>
#include <system_error>
#include <thread>

#include "softgpu/ptx/program.h"
#include "softgpu/ptx/scheduler.h"

namespace nm::softgpu::ptx {
namespace {

constexpr uint32_t kMaxResident = 64;  // clusters a worker, unless the launch is cooperative
constexpr int kPatience = 32;          // spinning turns before another cluster is begun
constexpr uint32_t kReservedShared = 1024;
constexpr uint64_t kWorkspaceBytes = 256;
constexpr auto kHelpAfter = std::chrono::microseconds(100);

class Grid {
 public:
  Grid(GridState& state, int threads) : state_(state), threads_(threads) {
    const Launch& launch = state.launch;
    for (int i = 0; i < 3; ++i) clusters_[i] = launch.grid[i] / state.cluster[i];
    total_ = uint64_t{clusters_[0]} * clusters_[1] * clusters_[2];
  }

  Outcome run() {
    begun_at_ = std::chrono::steady_clock::now();
    worker(0);
    for (std::thread& helper : helpers_) helper.join();
    return outcome_;
  }

 private:
  void worker(uint32_t index);
  void work(uint32_t index);
  void call_for_help();
  std::unique_ptr<Cluster> begin(uint32_t index, std::unique_ptr<Cluster> reuse);
  void fault(Fault what, std::string detail);
  void fault(const Exec& x);
  bool cancelled() const { return state_.cancel != nullptr && state_.cancel->load(std::memory_order_relaxed); }

  GridState& state_;
  int threads_;
  uint32_t clusters_[3];
  uint64_t total_ = 0;
  std::atomic<uint64_t> next_{0};
  std::vector<std::thread> helpers_;
  bool asked_ = false;
  std::chrono::steady_clock::time_point begun_at_;
  std::mutex mutex_;
  Outcome outcome_;
};

// Threads cost more than a short kernel: helpers come once it has lasted a while.
void Grid::call_for_help() {
  if (asked_ || threads_ < 2 || next_.load() >= total_) return;
  if (!state_.launch.cooperative && std::chrono::steady_clock::now() - begun_at_ < kHelpAfter) return;
  asked_ = true;
  const uint64_t left = total_ - next_.load();
  for (int i = 1; i < threads_ && static_cast<uint64_t>(i) <= left; ++i) {
    try {
      helpers_.emplace_back([this, i] { worker(static_cast<uint32_t>(i)); });
    } catch (const std::system_error&) {
      return;  // fewer threads will do
    }
  }
}

void Grid::fault(Fault what, std::string detail) {
  std::lock_guard lock(mutex_);
  if (outcome_.fault == Fault::none) outcome_ = {what, std::move(detail)};
  state_.stop.store(true);
}

void Grid::fault(const Exec& x) {
  std::string where = "kernel " + state_.kernel->name;
  uint32_t line = 0;
  if (x.block != nullptr && x.warp != nullptr) {
    const Block& block = *x.block;
    where += ", block (" + std::to_string(block.ctaid[0]) + "," + std::to_string(block.ctaid[1]) + "," +
             std::to_string(block.ctaid[2]) + ")";
    const uint32_t thread = x.warp->index * kLanes + x.fault_lane;
    const auto& dim = state_.launch.block;
    where += ", thread (" + std::to_string(thread % dim[0]) + "," + std::to_string(thread / dim[0] % dim[1]) + "," +
             std::to_string(thread / dim[0] / dim[1]) + ")";
    for (const Fragment& fragment : x.warp->fragments) {
      if (fragment.mask >> x.fault_lane & 1) line = fragment.pc->line;
    }
  }
  if (line != 0) where += ", line " + std::to_string(line) + " of the PTX";
  fault(x.fault, x.detail + " (" + where + ")");
}

std::unique_ptr<Cluster> Grid::begin(uint32_t index, std::unique_ptr<Cluster> cluster) {
  const uint64_t number = next_.fetch_add(1);
  if (number >= total_) return nullptr;
  const uint32_t count = state_.cluster[0] * state_.cluster[1] * state_.cluster[2];
  const uint32_t at[3] = {static_cast<uint32_t>(number % clusters_[0]),
                          static_cast<uint32_t>(number / clusters_[0] % clusters_[1]),
                          static_cast<uint32_t>(number / clusters_[0] / clusters_[1])};
  if (cluster == nullptr) {
    cluster = std::make_unique<Cluster>();
    for (uint32_t i = 0; i < count; ++i) cluster->blocks.push_back(std::make_unique<Block>());
  }
  cluster->arrived = cluster->waiting = cluster->phase = 0;
  cluster->alive = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t inner[3] = {i % state_.cluster[0], i / state_.cluster[0] % state_.cluster[1],
                               i / state_.cluster[0] / state_.cluster[1]};
    uint32_t ctaid[3];
    for (int d = 0; d < 3; ++d) ctaid[d] = at[d] * state_.cluster[d] + inner[d];
    Block& block = *cluster->blocks[i];
    block.cluster = cluster.get();
    if (!start_block(block, state_, ctaid, index)) {
      fault(Fault::out_of_memory, "no memory for a block of kernel " + state_.kernel->name);
      return nullptr;
    }
    cluster->alive += block.alive;
  }
  return cluster;
}

// The program's own threads may flush denormals or round elsewhere; kernels must not see that.
struct PlainArithmetic {
  PlainArithmetic() : saved(_mm_getcsr()) { _mm_setcsr(0x1f80); }
  ~PlainArithmetic() { _mm_setcsr(saved); }
  unsigned saved;
};

void Grid::worker(uint32_t index) {
  PlainArithmetic arithmetic;
  try {
    work(index);
  } catch (const std::bad_alloc&) {
    fault(Fault::out_of_memory, "no memory to run kernel " + state_.kernel->name);
  }
}

void Grid::work(uint32_t index) {
  Exec x;
  x.grid = &state_;
  x.worker = index;
  x.base[1] = state_.program->constants.data();
  x.local_stride = state_.local_stride;
  std::vector<std::unique_ptr<Cluster>> resident;
  std::unique_ptr<Cluster> spare;
  const int patience = state_.launch.cooperative ? 1 : kPatience;
  int idle = 0;  // turns in which everybody only waited
  while (!state_.stop.load(std::memory_order_relaxed)) {
    if (cancelled()) {
      fault(Fault::cancelled, "the launch of kernel " + state_.kernel->name + " was cancelled");
      break;
    }
    const bool room = state_.launch.cooperative || resident.size() < kMaxResident;
    if (resident.empty() || (idle >= patience && room)) {
      std::unique_ptr<Cluster> next = begin(index, std::move(spare));
      if (next != nullptr) {
        resident.push_back(std::move(next));
      } else if (resident.empty()) {
        break;
      }
      idle = 0;
    }
    if (x.epoch != state_.memory->epoch()) {
      x.epoch = state_.memory->epoch();
      for (Range& range : x.ranges) range = {};
    }
    bool waiting = true;
    for (size_t i = 0; i < resident.size(); ++i) {
      const Turn turn = run_cluster(x, *resident[i]);
      if (turn == Turn::fault) {
        fault(x);
        break;
      }
      if (turn == Turn::blocked) {
        fault(Fault::launch_failure, "all threads of a block of kernel " + state_.kernel->name +
                                         " wait at barriers or for lanes that never come");
        break;
      }
      if (turn != Turn::spinning) waiting = false;
      if (turn == Turn::finished) {
        spare = std::move(resident[i]);
        resident[i--] = std::move(resident.back());
        resident.pop_back();
      }
    }
    idle = waiting ? idle + 1 : 0;
    if (index == 0) call_for_help();
    if (idle > kPatience) std::this_thread::yield();
  }
}

Outcome bad_launch(const std::string& kernel, const std::string& why) {
  return {Fault::bad_launch, "the launch does not fit kernel " + kernel + ": " + why};
}

}  // namespace

Outcome run(const Kernel& kernel, const Launch& launch, Memory& memory, const PrintfSink& print, int threads,
            const std::atomic<bool>* cancel) {
  const KernelImpl& impl = static_cast<const KernelImpl&>(kernel);
  const KernelInfo& info = impl.info_;
  GridState state;
  state.program = impl.program;
  state.kernel = impl.function;
  state.launch = launch;
  state.memory = &memory;
  state.print = &print;
  state.cancel = cancel;
  uint64_t block_threads = 1;
  for (int i = 0; i < 3; ++i) {
    if (launch.grid[i] == 0 || launch.block[i] == 0) return bad_launch(info.name, "a dimension is zero");
    if (launch.block[i] > 1024) return bad_launch(info.name, "a block has at most 1024 threads");
    block_threads *= launch.block[i];
    if (info.reqntid[i] != 0 && info.reqntid[i] != launch.block[i])
      return bad_launch(info.name, "the block is not what .reqntid says");
    state.cluster[i] = launch.cluster[i] != 0      ? launch.cluster[i]
                       : info.cluster_dims[i] != 0 ? info.cluster_dims[i]
                                                   : 1;
    if (state.cluster[i] > 16 || launch.grid[i] % state.cluster[i] != 0)
      return bad_launch(info.name, "the grid is no multiple of the cluster");
    state.explicit_cluster |= launch.cluster[i] != 0 || info.cluster_dims[i] != 0;
  }
  if (block_threads > 1024 || block_threads > info.max_threads)
    return bad_launch(info.name, "the block has too many threads");
  if (state.cluster[0] * state.cluster[1] * state.cluster[2] > 16)
    return bad_launch(info.name, "a cluster has at most 16 blocks");
  if (launch.params.size() < info.param_bytes) return bad_launch(info.name, "parameters are missing");
  if (launch.dynamic_shared > 16u << 20) return bad_launch(info.name, "too much shared memory");
  state.params.assign(launch.params.begin(), launch.params.begin() + info.param_bytes);
  state.params.resize(info.param_bytes + 64);
  state.static_shared = info.static_shared;
  state.shared_bytes = (info.static_shared + 15) / 16 * 16 + launch.dynamic_shared;
  if (impl.function->uses_reserved) state.reserved_bytes = kReservedShared;
  state.shared_bytes += state.reserved_bytes;
  state.local_stride = (uint64_t{info.local_bytes} + 15) / 16 * 16;
  if (impl.function->calls_indirect) state.local_stride += uint64_t{launch.stack_bytes} * 4;
  state.max_depth = 64 + launch.stack_bytes / 8;
  state.workers = static_cast<uint32_t>(threads < 1 ? 1 : threads);
  if (launch.cooperative) {
    state.workspace = memory.allocate(kWorkspaceBytes, 256);
    if (state.workspace == 0) return {Fault::out_of_memory, "no memory to synchronise the grid of kernel " + info.name};
  }
  Outcome outcome = Grid(state, threads).run();
  if (state.workspace != 0) memory.release(state.workspace);
  return outcome;
}

}  // namespace nm::softgpu::ptx
