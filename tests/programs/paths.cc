// How long the ways to a GPU take: launches, waits, copies, graphs. Plain driver API, knows nothing of nearmetal.
//
//   nm_paths [--rounds N] [--quick] [CASE...]
//
// Prints one JSON object a case: {"case", "unit", "samples": [one number a round]}; lower is better for us, higher for
// GB/s. Every case checks what it computed or copied; a wrong result ends the program with status 1.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "cuda_abi.h"

namespace {

const char kPtx[] = R"(
.version 7.0
.target sm_50
.address_size 64
.visible .entry nothing(.param .u64 p, .param .u32 n) { ret; }
.visible .entry count(.param .u64 p, .param .u32 n) {
  .reg .b64 %rd<3>;
  .reg .b32 %r<4>;
  .reg .pred %q;
  mov.u32 %r1, %tid.x;
  setp.ne.u32 %q, %r1, 0;
  @%q bra done;
  ld.param.u64 %rd1, [p];
  cvta.to.global.u64 %rd2, %rd1;
  ld.param.u32 %r2, [n];
  ld.global.u32 %r3, [%rd2];
  add.u32 %r3, %r3, %r2;
  st.global.u32 [%rd2], %r3;
done:
  ret;
}
)";

template <typename Function>
Function find(const char* name) {
  static void* const library = dlopen("libcuda.so.1", RTLD_NOW);
  void* found = library ? dlsym(library, name) : nullptr;
  if (!found) {
    fprintf(stderr, "paths: libcuda.so.1 does not give %s: %s\n", name, dlerror());
    exit(1);
  }
  return reinterpret_cast<Function>(found);
}

#define CU(name, ...)                                                               \
  do {                                                                              \
    static const auto function_ = find<decltype(&::name)>(#name);                   \
    if (CUresult result_ = function_(__VA_ARGS__); result_ != CUDA_SUCCESS) {       \
      fprintf(stderr, "paths: %s answered %d\n", #name, static_cast<int>(result_)); \
      exit(1);                                                                      \
    }                                                                               \
  } while (0)

void expect(bool right, const char* what) {
  if (right) return;
  fprintf(stderr, "paths: wrong result: %s\n", what);
  exit(1);
}

double now_us() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
double thread_cpu_us() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

struct Bench {
  int rounds = 5;
  bool quick = false;
  std::vector<std::string> only;
  CUfunction nothing = nullptr, count = nullptr;
  CUdeviceptr buffer = 0;
  size_t buffer_size = 0;
  CUstream stream = nullptr;

  int times(int full) const { return quick ? std::max(2, full / 100) : full; }

  void launch(CUfunction f) {
    unsigned n = 1;
    void* params[] = {&buffer, &n};
    CU(cuLaunchKernel, f, 1, 1, 1, 32, 1, 1, 0, stream, params, nullptr);
  }
  // The same with its parameters packed, as the worker launches.
  void launch_packed(CUfunction f) {
    struct {
      CUdeviceptr p;
      unsigned n;
    } packed = {buffer, 1};
    size_t size = 12;
    void* extra[] = {reinterpret_cast<void*>(1), &packed, reinterpret_cast<void*>(2), &size, nullptr};
    CU(cuLaunchKernel, f, 1, 1, 1, 32, 1, 1, 0, stream, nullptr, extra);
  }
  void sync() { CU(cuStreamSynchronize, stream); }
  unsigned value() {
    unsigned v;
    CU(cuMemcpyDtoH_v2, &v, buffer, sizeof v);
    return v;
  }

  bool wants(const std::string& name) const {
    return only.empty() || std::find(only.begin(), only.end(), name) != only.end();
  }
  // `work` returns one sample.
  void report(const std::string& name, const char* unit, const std::function<double()>& work) {
    if (!wants(name)) return;
    work();
    printf("{\"case\": \"%s\", \"unit\": \"%s\", \"samples\": [", name.c_str(), unit);
    for (int i = 0; i < rounds; i++) printf("%s%.4f", i ? ", " : "", work());
    printf("]}\n");
    fflush(stdout);
  }

  void launches() {
    const int n = times(20'000);
    report("launch_stream", "us", [&] {
      sync();
      double start = now_us();
      for (int i = 0; i < n; i++) launch(nothing);
      sync();
      return (now_us() - start) / n;
    });
    report("launch_stream_packed", "us", [&] {
      sync();
      double start = now_us();
      for (int i = 0; i < n; i++) launch_packed(nothing);
      sync();
      return (now_us() - start) / n;
    });
    report("launch_issue_cpu", "us", [&] {
      sync();
      double start = thread_cpu_us();
      for (int i = 0; i < n; i++) launch(nothing);
      double took = thread_cpu_us() - start;
      sync();
      return took / n;
    });
    // As many as go into no queue's limit: what a program pays that does not saturate the GPU.
    report("launch_issue_100", "us", [&] {
      sync();
      double start = now_us();
      for (int i = 0; i < 100; i++) launch(nothing);
      double took = now_us() - start;
      sync();
      return took / 100;
    });
    report("launch_sync", "us", [&] {
      const int m = times(5'000);
      unsigned before = value();
      double start = now_us();
      for (int i = 0; i < m; i++) launch(count), sync();
      double took = now_us() - start;
      expect(value() == before + static_cast<unsigned>(m), "as many kernels as were launched");
      return took / m;
    });
    report("sync_idle", "us", [&] {
      const int m = times(5'000);
      sync();
      double start = now_us();
      for (int i = 0; i < m; i++) sync();
      return (now_us() - start) / m;
    });
    report("launch_read", "us", [&] {
      const int m = times(5'000);
      unsigned first = value(), v = 0;
      double start = now_us();
      for (int i = 0; i < m; i++) {
        launch(count);
        CU(cuMemcpyDtoHAsync_v2, &v, buffer, sizeof v, stream);
        sync();
        expect(v == first + static_cast<unsigned>(i) + 1, "the number read back");
      }
      return (now_us() - start) / m;
    });
    report("read", "us", [&] {
      const int m = times(5'000);
      unsigned v = 0;
      double start = now_us();
      for (int i = 0; i < m; i++) CU(cuMemcpyDtoH_v2, &v, buffer, sizeof v);
      return (now_us() - start) / m;
    });
    report("event_pair", "us", [&] {
      const int m = times(5'000);
      CUevent e;
      CU(cuEventCreate, &e, 2);
      double start = now_us();
      for (int i = 0; i < m; i++) {
        CU(cuEventRecord, e, stream);
        CU(cuStreamWaitEvent, stream, e, 0);
      }
      sync();
      double took = now_us() - start;
      CU(cuEventDestroy_v2, e);
      return took / m;
    });
    report("alloc_free", "us", [&] {
      const int m = times(1'000);
      double start = now_us();
      for (int i = 0; i < m; i++) {
        CUdeviceptr p;
        CU(cuMemAlloc_v2, &p, 1 << 20);
        CU(cuMemFree_v2, p);
      }
      return (now_us() - start) / m;
    });
  }

  void graph() {
    const int nodes = 20, m = times(2'000);
    CUgraph g;
    CUgraphExec exec;
    CU(cuStreamBeginCapture_v2, stream, CU_STREAM_CAPTURE_MODE_RELAXED);
    for (int i = 0; i < nodes; i++) launch(count);
    CU(cuStreamEndCapture, stream, &g);
    CU(cuGraphInstantiateWithFlags, &exec, g, 0);
    report("graph_replay_20", "us", [&] {
      unsigned before = value();
      double start = now_us();
      for (int i = 0; i < m; i++) CU(cuGraphLaunch, exec, stream);
      sync();
      double took = now_us() - start;
      expect(value() == before + static_cast<unsigned>(m * nodes), "as many kernels as the graph has");
      return took / m;
    });
    CU(cuGraphExecDestroy, exec);
    CU(cuGraphDestroy, g);
  }

  void copies() {
    struct Size {
      const char* name;
      size_t bytes;
    };
    const Size sizes[] = {{"64K", 64 << 10}, {"1M", 1 << 20}, {"16M", 16 << 20}, {"256M", 256 << 20}};
    for (const Size& size : sizes) {
      if (size.bytes > buffer_size) continue;
      for (bool pinned : {true, false}) {
        const std::string kind = pinned ? "pinned" : "pageable";
        if (!wants("h2d_" + kind + "_" + size.name) && !wants("d2h_" + kind + "_" + size.name)) continue;
        // Several in turn: nobody reads the same numbers again and again into the same place.
        const size_t places = size.bytes <= 16 << 20 ? 8 : 2;
        void* host = nullptr;
        if (pinned)
          CU(cuMemHostAlloc, &host, places * size.bytes, 0);
        else
          host = malloc(places * size.bytes);
        auto* words = static_cast<unsigned*>(host);
        auto place = [&](int i) { return static_cast<char*>(host) + static_cast<size_t>(i) % places * size.bytes; };
        const size_t n = size.bytes / sizeof *words;
        for (size_t i = 0; i < places * n; i++) words[i] = static_cast<unsigned>(i % n * 2654435761u);
        const int m = quick ? 2 : static_cast<int>(std::clamp<size_t>((1ull << 30) / size.bytes, 4, 400));
        report("h2d_" + kind + "_" + size.name, "GB/s", [&] {
          double start = now_us();
          for (int i = 0; i < m; i++) CU(cuMemcpyHtoDAsync_v2, buffer, place(i), size.bytes, stream);
          sync();
          return static_cast<double>(size.bytes) * m / (now_us() - start) / 1e3;
        });
        CU(cuMemcpyHtoD_v2, buffer, host, size.bytes);
        report("d2h_" + kind + "_" + size.name, "GB/s", [&] {
          memset(host, 0, places * size.bytes);
          double start = now_us();
          for (int i = 0; i < m; i++) CU(cuMemcpyDtoHAsync_v2, place(i), buffer, size.bytes, stream);
          sync();
          double took = now_us() - start;
          for (size_t i = 0; i < std::min(places, static_cast<size_t>(m)) * n; i++)
            expect(words[i] == static_cast<unsigned>(i % n * 2654435761u), "bytes read back");
          return static_cast<double>(size.bytes) * m / took / 1e3;
        });
        if (pinned)
          CU(cuMemFreeHost, host);
        else
          free(host);
      }
    }
  }
};

}  // namespace

int main(int argc, char** argv) {
  Bench b;
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--rounds") && i + 1 < argc)
      b.rounds = atoi(argv[++i]);
    else if (!strcmp(argv[i], "--quick"))
      b.quick = true;
    else
      b.only.push_back(argv[i]);
  }
  CUdevice device = 0;
  CUcontext context = nullptr;
  CUmodule module = nullptr;
  double start = now_us();
  CU(cuInit, 0);
  CU(cuDeviceGet, &device, 0);
  CU(cuDevicePrimaryCtxRetain, &context, device);
  CU(cuCtxSetCurrent, context);
  CU(cuModuleLoadData, &module, kPtx);
  CU(cuModuleGetFunction, &b.nothing, module, "nothing");
  CU(cuModuleGetFunction, &b.count, module, "count");
  b.buffer_size = b.quick ? 1 << 20 : 256 << 20;
  CU(cuMemAlloc_v2, &b.buffer, b.buffer_size);
  CU(cuMemsetD32_v2, b.buffer, 0, 1);
  b.launch(b.count);
  expect(b.value() == 1, "the first kernel");
  printf("{\"case\": \"first_result\", \"unit\": \"ms\", \"samples\": [%.3f]}\n", (now_us() - start) / 1e3);
  CU(cuStreamCreate, &b.stream, CU_STREAM_NON_BLOCKING);
  b.launches();
  b.graph();
  b.copies();
  CU(cuStreamDestroy_v2, b.stream);
  CU(cuMemFree_v2, b.buffer);
  CU(cuModuleUnload, module);
  CU(cuDevicePrimaryCtxRelease_v2, device);
}
