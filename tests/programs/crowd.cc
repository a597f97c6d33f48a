// One of several processes that share a GPU (tests/gpu/crowd.py): the same work over and over until the time is up.
//
//   nm_crowd launch|medium|mixed [--warm-up S] [--seconds S]
//
//   launch  100 small kernels, then a synchronise; an iteration is a kernel
//   medium  kernels of about 50 us on an H200: as many blocks as it has processors, each a long chain of multiply-adds
//   mixed   1 MiB of pinned memory to the device, a kernel over it, 64 KiB back, a synchronise
//
// Says "ready" when it is warm, waits for a line on its standard input, works, prints {"iterations", "seconds"}. What
// it computed is compared with the CPU's; a wrong result ends it with status 1. Plain driver API, knows nothing of
// nearmetal.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <chrono>
#include <string>

#include "order/driver.h"

namespace {

// fold: p[i] = p[i] * 3 + n, all i < count. chain: p[thread] = what so many multiply-adds of 1.5 and 0.5, halved, make
// of it.
const char kPtx[] = R"(
.version 7.0
.target sm_50
.address_size 64
.visible .entry fold(.param .u64 p, .param .u32 count, .param .u32 n) {
  .reg .pred %q;
  .reg .b32 %r<8>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [p];
  ld.param.u32 %r1, [count];
  ld.param.u32 %r2, [n];
  mov.u32 %r3, %ctaid.x;
  mov.u32 %r4, %ntid.x;
  mov.u32 %r5, %tid.x;
  mad.lo.u32 %r6, %r3, %r4, %r5;
  setp.ge.u32 %q, %r6, %r1;
  @%q bra DONE;
  mul.wide.u32 %rd2, %r6, 4;
  add.u64 %rd3, %rd1, %rd2;
  ld.global.u32 %r7, [%rd3];
  mad.lo.u32 %r7, %r7, 3, %r2;
  st.global.u32 [%rd3], %r7;
DONE:
  ret;
}
.visible .entry chain(.param .u64 p, .param .u32 steps, .param .f32 start) {
  .reg .pred %q;
  .reg .f32 %f<2>;
  .reg .b32 %r<6>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [p];
  ld.param.u32 %r1, [steps];
  ld.param.f32 %f1, [start];
  mov.u32 %r2, %ctaid.x;
  mov.u32 %r3, %ntid.x;
  mov.u32 %r4, %tid.x;
  mad.lo.u32 %r5, %r2, %r3, %r4;
AGAIN:
  fma.rn.f32 %f1, %f1, 0f3F400000, 0f3E800000;
  fma.rn.f32 %f1, %f1, 0f3F400000, 0f3E800000;
  fma.rn.f32 %f1, %f1, 0f3F400000, 0f3E800000;
  fma.rn.f32 %f1, %f1, 0f3F400000, 0f3E800000;
  sub.u32 %r1, %r1, 1;
  setp.ne.u32 %q, %r1, 0;
  @%q bra AGAIN;
  mul.wide.u32 %rd2, %r5, 4;
  add.u64 %rd3, %rd1, %rd2;
  st.global.f32 [%rd3], %f1;
  ret;
}
)";

constexpr unsigned kLaunches = 100;
constexpr unsigned kBlocks = 132, kThreads = 256, kSteps = 5000;  // 4 dependent multiply-adds of 4 cycles each a step
constexpr size_t kIn = 1 << 20, kOut = 64 << 10;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void expect(bool right, const char* what) {
  if (right) return;
  fprintf(stderr, "crowd: wrong result: %s\n", what);
  exit(1);
}

class Work {
 public:
  explicit Work(const std::string& name) : name_(name) {
    CUdevice device = 0;
    CUcontext context = nullptr;
    CUmodule module = nullptr;
    CU(cuInit, 0);
    CU(cuDeviceGet, &device, 0);
    CU(cuDevicePrimaryCtxRetain, &context, device);
    CU(cuCtxSetCurrent, context);
    CU(cuModuleLoadData, &module, kPtx);
    CU(cuModuleGetFunction, &fold_, module, "fold");
    CU(cuModuleGetFunction, &chain_, module, "chain");
    CU(cuStreamCreate, &stream_, CU_STREAM_NON_BLOCKING);
    CU(cuMemAlloc_v2, &buffer_, kIn);
    CU(cuMemsetD8_v2, buffer_, 0, kIn);
    void* host = nullptr;
    CU(cuMemHostAlloc, &host, kIn, 0);
    in_ = static_cast<unsigned*>(host);
    CU(cuMemHostAlloc, &host, kOut, 0);
    out_ = static_cast<unsigned*>(host);
    for (size_t i = 0; i < kIn / 4; i++) in_[i] = static_cast<unsigned>(i * 2654435761u);
    const char* steps = getenv("NM_CROWD_STEPS");  // a software GPU takes long
    steps_ = steps ? static_cast<unsigned>(atoi(steps)) : kSteps;
    CU(cuCtxSynchronize);
  }

  bool known() const { return name_ == "launch" || name_ == "medium" || name_ == "mixed"; }

  // Returns iterations.
  unsigned long go_on_for(double seconds) {
    unsigned long iterations = 0;
    for (double end = now() + seconds; now() < end;) {
      if (name_ == "launch")
        iterations += launch();
      else if (name_ == "medium")
        iterations += medium();
      else
        iterations += mixed();
    }
    return iterations;
  }

  void check() {
    if (name_ == "launch") {
      unsigned value = 0;
      CU(cuMemcpyDtoH_v2, &value, buffer_, sizeof value);
      expect(value == value_, "after as many kernels as were launched");
    } else if (name_ == "medium") {
      float value = start_, there[2];
      for (unsigned i = 0; i < 4 * steps_; i++) value = __builtin_fmaf(value, 0.75f, 0.25f);
      const CUdeviceptr last = buffer_ + (kBlocks * kThreads - 1) * sizeof value;
      CU(cuMemcpyDtoH_v2, &there[0], buffer_, sizeof value);
      CU(cuMemcpyDtoH_v2, &there[1], last, sizeof value);
      expect(there[0] == value && there[1] == value, "of the last chain");
    }
  }

 private:
  unsigned launch() {
    for (unsigned i = 0; i < kLaunches; i++) {
      fold(32, i);
      value_ = value_ * 3 + i;
    }
    CU(cuStreamSynchronize, stream_);
    return kLaunches;
  }

  unsigned medium() {
    constexpr unsigned kAtOnce = 10;
    for (unsigned i = 0; i < kAtOnce; i++) {
      start_ = static_cast<float>(++round_ % 1000);
      void* params[] = {&buffer_, &steps_, &start_};
      CU(cuLaunchKernel, chain_, kBlocks, 1, 1, kThreads, 1, 1, 0, stream_, params, nullptr);
    }
    CU(cuStreamSynchronize, stream_);
    return kAtOnce;
  }

  unsigned mixed() {
    round_++;
    in_[round_ % (kOut / 4)] = static_cast<unsigned>(round_);
    const unsigned first = in_[0], last = in_[kOut / 4 - 1], at = in_[round_ % (kOut / 4)];
    CU(cuMemcpyHtoDAsync_v2, buffer_, in_, kIn, stream_);
    fold(kIn / 4, static_cast<unsigned>(round_));
    CU(cuMemcpyDtoHAsync_v2, out_, buffer_, kOut, stream_);
    CU(cuStreamSynchronize, stream_);
    const auto n = static_cast<unsigned>(round_);
    expect(out_[0] == first * 3 + n && out_[kOut / 4 - 1] == last * 3 + n && out_[round_ % (kOut / 4)] == at * 3 + n,
           "what came back from the device");
    return 1;
  }

  void fold(unsigned count, unsigned n) {
    void* params[] = {&buffer_, &count, &n};
    const unsigned threads = count < 256 ? count : 256;
    CU(cuLaunchKernel, fold_, (count + threads - 1) / threads, 1, 1, threads, 1, 1, 0, stream_, params, nullptr);
  }

  const std::string name_;
  CUfunction fold_ = nullptr, chain_ = nullptr;
  CUstream stream_ = nullptr;
  CUdeviceptr buffer_ = 0;
  unsigned *in_ = nullptr, *out_ = nullptr;
  unsigned steps_ = kSteps, value_ = 0;
  float start_ = 0;
  unsigned long round_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  double warm_up = 1, seconds = 3;
  for (int i = 2; i + 1 < argc; i += 2) {
    if (!strcmp(argv[i], "--warm-up"))
      warm_up = atof(argv[i + 1]);
    else if (!strcmp(argv[i], "--seconds"))
      seconds = atof(argv[i + 1]);
  }
  order::t_doing = "This is nm_crowd.";
  Work work(argc > 1 ? argv[1] : "");
  if (!work.known()) {
    fprintf(stderr, "usage: nm_crowd launch|medium|mixed [--warm-up S] [--seconds S]\n");
    return 4;
  }
  work.go_on_for(warm_up);
  printf("ready\n");
  fflush(stdout);
  char line[16];
  if (!fgets(line, sizeof line, stdin)) return 1;
  const double start = now();
  unsigned long iterations = work.go_on_for(seconds);
  const double took = now() - start;
  work.check();
  printf("{\"iterations\": %lu, \"seconds\": %.6f}\n", iterations, took);
  return 0;
}
