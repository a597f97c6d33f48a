// A program of several threads that capture graphs and run them, and that goes in the middle of it, at a random place
// and in a random way. NM_SEED says which.
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <shared_mutex>
#include <thread>
#include <vector>

#include "cuda_abi.h"
#include "roles.h"

namespace {

constexpr char kKernels[] = R"(
.version 7.0
.target sm_70
.address_size 64
.visible .entry poke(.param .u64 at, .param .u32 value)
{
  .reg .u64 %a; .reg .u32 %v;
  ld.param.u64 %a, [at];
  ld.param.u32 %v, [value];
  st.global.u32 [%a], %v;
  ret;
}
)";
constexpr size_t kBytes = 64 << 10;

std::atomic<int> g_left{0};  // operations until the end
// Held, shared, by who calls CUDA: what a context takes with it may not be in use.
std::shared_mutex g_calls;
std::atomic<bool> g_ending{false};
CUcontext g_context, g_second;
CUfunction g_poke;

[[noreturn]] void go(unsigned how) {
  if (how % 5 == 2 || how % 5 == 3) {
    g_ending = true;
    g_calls.lock();
  }
  switch (how % 5) {
    case 0:
      kill(getpid(), SIGKILL);
      break;
    case 1:
      _exit(0);
    case 2:
      cuDevicePrimaryCtxReset_v2(0);
      _exit(0);
    case 3:
      cuCtxDestroy_v2(g_second);
      break;
  }
  exit(0);
}

class Thread {
 public:
  explicit Thread(unsigned seed) : random_(seed), pageable_(kBytes) {}
  void run() {
    if (cuCtxSetCurrent(pick(3) ? g_context : g_second) || cuMemAlloc_v2(&memory_, kBytes)) return;
    cuMemHostAlloc(&pinned_, kBytes, 0);
    for (CUstream& s : streams_) cuStreamCreate(&s, pick(2) ? CU_STREAM_NON_BLOCKING : CU_STREAM_DEFAULT);
    for (CUevent& e : events_) cuEventCreate(&e, CU_EVENT_DISABLE_TIMING);
    for (;;) {
      if (g_left-- == 0) go(pick(1000));
      if (g_ending) pause();
      std::shared_lock lock(g_calls);
      step();
    }
  }

 private:
  unsigned pick(unsigned n) { return static_cast<unsigned>(random_() >> 4) % n; }
  CUstream stream() { return streams_[pick(std::size(streams_))]; }
  void* host() { return pick(2) ? pinned_ : pageable_.data(); }
  size_t size() { return pick(4) ? 1 + pick(kBytes) : 4; }
  void step() {
    switch (pick(16)) {
      case 0:
      case 1:
        cuStreamBeginCapture_v2(stream(), static_cast<CUstreamCaptureMode>(pick(3)));
        break;
      case 2: {
        CUgraph graph = nullptr;
        CUgraphExec exec = nullptr;
        if (cuStreamEndCapture(stream(), &graph) || !graph) break;
        if (cuGraphInstantiateWithFlags(&exec, graph, 0) == CUDA_SUCCESS && execs_.size() < 8) execs_.push_back(exec);
        if (pick(2)) cuGraphDestroy(graph);
        break;
      }
      case 3:
      case 4:
        if (!execs_.empty()) cuGraphLaunch(execs_[pick(static_cast<unsigned>(execs_.size()))], stream());
        break;
      case 5:
        if (execs_.empty()) break;
        cuGraphExecDestroy(execs_.back());
        execs_.pop_back();
        break;
      case 6:
        cuMemcpyHtoDAsync_v2(memory_, host(), size(), stream());
        break;
      case 7:
        cuMemcpyDtoHAsync_v2(host(), memory_, size(), stream());
        break;
      case 8:
        cuLaunchHostFunc(
            stream(), [](void* p) { memset(p, 1, 64); }, pageable_.data());
        break;
      case 9: {
        const CUevent event = events_[pick(std::size(events_))];
        cuEventRecord(event, stream());
        cuStreamWaitEvent(stream(), event, 0);
        break;
      }
      case 10: {
        CUdeviceptr p;
        const CUstream s = stream();
        if (cuMemAllocAsync(&p, 4096, s) == CUDA_SUCCESS) cuMemFreeAsync(p, pick(4) ? s : stream());
        break;
      }
      case 11:
        cuStreamSynchronize(stream());
        break;
      case 12: {
        CUstreamCaptureStatus status;
        cuStreamIsCapturing(stream(), &status);
        cuCtxSynchronize();
        break;
      }
      case 13:
        if (pick(4)) break;
        {
          CUstream& s = streams_[pick(std::size(streams_))];
          cuStreamDestroy_v2(s);
          cuStreamCreate(&s, CU_STREAM_NON_BLOCKING);
        }
        break;
      default: {
        unsigned value = pick(100);
        void* params[] = {&memory_, &value};
        cuLaunchKernel(g_poke, 1, 1, 1, 1, 1, 1, 0, stream(), params, nullptr);
      }
    }
  }

  std::minstd_rand random_;
  std::vector<uint8_t> pageable_;
  void* pinned_ = nullptr;
  CUdeviceptr memory_ = 0;
  CUstream streams_[3] = {};
  CUevent events_[2] = {};
  std::vector<CUgraphExec> execs_;
};

int captures() {
  const char* text = getenv("NM_SEED");
  const unsigned seed = text ? static_cast<unsigned>(atoi(text)) : 0;
  std::minstd_rand random(seed * 2654435761u + 1);
  CUmodule module;
  if (cuInit(0) || cuDevicePrimaryCtxRetain(&g_context, 0) || cuCtxCreate_v2(&g_second, 0, 0)) return 2;
  if (cuCtxSetCurrent(g_context) || cuModuleLoadData(&module, kKernels)) return 2;
  if (cuModuleGetFunction(&g_poke, module, "poke")) return 2;
  g_left = 20 + static_cast<int>(random() % 400);
  std::vector<Thread*> states;
  for (int i = 0; i < 3; i++) states.push_back(new Thread(static_cast<unsigned>(random())));
  for (size_t i = 1; i < states.size(); i++) std::thread(&Thread::run, states[i]).detach();
  states[0]->run();
  return 0;  // another one has destroyed its context before it began
}

}  // namespace

const std::vector<Role>& capture_roles() {
  static const std::vector<Role> roles = {{"captures", captures}};
  return roles;
}
