// The program of `./dev demo`: plain driver API, knows nothing of nearmetal. Computes four things on the GPU, checks
// each against the CPU, and prints what it took; `--json` prints one object for the table.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "cuda_abi.h"
#include "demo_kernels.h"

namespace {

long calls = 0;

void check(CUresult result, const char* name) {
  if (result == 0) return;
  fprintf(stderr, "demo: %s answered %d\n", name, static_cast<int>(result));
  exit(1);
}

template <typename Function>
Function find(const char* name) {
  static void* const library = dlopen("libcuda.so.1", RTLD_NOW);
  void* found = library ? dlsym(library, name) : nullptr;
  if (!found) {
    fprintf(stderr, "demo: libcuda.so.1 does not give %s: %s\n", name, dlerror());
    exit(1);
  }
  return reinterpret_cast<Function>(found);
}

// One counted, checked call of the driver.
#define CU(name, ...)                                             \
  do {                                                            \
    static const auto function_ = find<decltype(&::name)>(#name); \
    ++calls;                                                      \
    check(function_(__VA_ARGS__), #name);                         \
  } while (0)

class Buffer {
 public:
  explicit Buffer(size_t bytes) : bytes_(bytes) { CU(cuMemAlloc_v2, &at_, bytes); }
  template <typename T>
  explicit Buffer(const std::vector<T>& from) : Buffer(from.size() * sizeof(T)) {
    CU(cuMemcpyHtoD_v2, at_, from.data(), bytes_);
  }
  ~Buffer() { CU(cuMemFree_v2, at_); }
  Buffer(const Buffer&) = delete;

  template <typename T>
  std::vector<T> read() const {
    std::vector<T> out(bytes_ / sizeof(T));
    CU(cuMemcpyDtoH_v2, out.data(), at_, bytes_);
    return out;
  }
  CUdeviceptr* at() { return &at_; }

 private:
  CUdeviceptr at_ = 0;
  size_t bytes_;
};

struct Shape {
  unsigned x, y = 1;
};

void launch(CUfunction function, Shape grid, Shape block, std::vector<void*> params) {
  CU(cuLaunchKernel, function, grid.x, grid.y, 1, block.x, block.y, 1, 0, nullptr, params.data(), nullptr);
}

CUfunction kernel(CUmodule module, const char* name) {
  CUfunction function = nullptr;
  CU(cuModuleGetFunction, &function, module, name);
  return function;
}

bool add_is_right(CUmodule module) {
  unsigned n = 1 << 20;
  std::vector<float> a(n), b(n);
  for (unsigned i = 0; i < n; ++i) a[i] = static_cast<float>(i) * 0.5f, b[i] = static_cast<float>(n - i);
  Buffer da(a), db(b), dc(n * sizeof(float));
  launch(kernel(module, "add"), {(n + 255) / 256}, {256}, {da.at(), db.at(), dc.at(), &n});
  const auto c = dc.read<float>();
  for (unsigned i = 0; i < n; ++i) {
    if (c[i] != a[i] + b[i]) return false;
  }
  return true;
}

bool matmul_is_right(CUmodule module) {
  unsigned n = 128;
  std::vector<float> a(n * n), b(n * n);
  for (unsigned i = 0; i < n * n; ++i) {
    a[i] = static_cast<float>(i % 17) - 8.0f;
    b[i] = static_cast<float>(i % 13) * 0.25f;
  }
  Buffer da(a), db(b), dc(n * n * sizeof(float));
  launch(kernel(module, "matmul"), {n / 16, n / 16}, {16, 16}, {da.at(), db.at(), dc.at(), &n});
  const auto c = dc.read<float>();
  for (unsigned row = 0; row < n; ++row) {
    for (unsigned column = 0; column < n; ++column) {
      float want = 0;
      for (unsigned k = 0; k < n; ++k) want = std::fma(a[row * n + k], b[k * n + column], want);
      // Multiples of 1/4 below 2^22: exact in any order.
      if (c[row * n + column] != want) return false;
    }
  }
  return true;
}

bool sum_is_right(CUmodule module) {
  unsigned n = 300'001, want = 0;
  std::vector<unsigned> x(n);
  for (unsigned i = 0; i < n; ++i) want += x[i] = i * 2654435761u;
  Buffer dx(x), total(std::vector<unsigned>{0});
  launch(kernel(module, "sum"), {(n + 255) / 256}, {256}, {dx.at(), total.at(), &n});
  return total.read<unsigned>()[0] == want;
}

// What remoting is usually worst at: launches so small that nothing hides what each costs.
constexpr unsigned kSteps = 5'000;
bool steps_are_right(CUmodule module) {
  Buffer x(std::vector<unsigned>(64, 7));
  const CUfunction step = kernel(module, "step");
  for (unsigned i = 0; i < kSteps; ++i) launch(step, {1}, {64}, {x.at()});
  CU(cuCtxSynchronize);
  for (const unsigned value : x.read<unsigned>()) {
    if (value != 7 + kSteps) return false;
  }
  return true;
}

struct Timed {
  const char* name;
  bool right;
  double ms;
};

Timed timed(const char* name, bool (*work)(CUmodule), CUmodule module) {
  const auto start = std::chrono::steady_clock::now();
  const bool right = work(module);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  return {name, right, took.count()};
}

}  // namespace

int main(int argc, char** argv) {
  const bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
  CU(cuInit, 0);
  CUdevice device = 0;
  CUcontext context = nullptr;
  CUmodule module = nullptr;
  char name[128] = {};
  CU(cuDeviceGet, &device, 0);
  CU(cuDeviceGetName, name, static_cast<int>(sizeof name), device);
  CU(cuDevicePrimaryCtxRetain, &context, device);
  CU(cuCtxSetCurrent, context);
  CU(cuModuleLoadData, &module, kDemoPtx);

  const Timed results[] = {timed("add", add_is_right, module), timed("matmul", matmul_is_right, module),
                           timed("sum", sum_is_right, module), timed("steps", steps_are_right, module)};
  CU(cuModuleUnload, module);
  CU(cuDevicePrimaryCtxRelease_v2, device);

  bool all_right = true;
  for (const Timed& one : results) all_right = all_right && one.right;
  if (json) {
    printf("{\"device\": \"%s\", \"calls\": %ld, \"right\": %s", name, calls, all_right ? "true" : "false");
    for (const Timed& one : results) printf(", \"%s_ms\": %.3f", one.name, one.ms);
    printf("}\n");
  } else {
    printf("device: %s, %ld calls\n", name, calls);
    for (const Timed& one : results) printf("%-7s %s %9.2f ms\n", one.name, one.right ? "right" : "WRONG", one.ms);
  }
  return all_right ? 0 : 1;
}
