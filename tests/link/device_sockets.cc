// The least that a copy between a program and another host's GPU takes: plain sockets and the device's own copies, with
// nothing of nearmetal between them, every thread spinning.
//
//   nm_device_sockets --listen tcp:127.0.0.1:PORT [--through ADDRESS] [--connections 4] [--rounds N] [--quick]
//
// waited_out_1M: one side asks with a byte, the other has the device copy 1 MiB in four pieces and sends each as it
// comes; the next is asked for when all has arrived. stream_out_1M: the same without asking. stream_in_1M: bytes are
// received into pinned memory and given to the device. One line of JSON each, as nm_paths prints.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "cuda_abi.h"
#include "pairs.h"

namespace {

using namespace nm::link;

template <typename Function>
Function find(const char* name) {
  static void* const library = dlopen("libcuda.so.1", RTLD_NOW);
  void* found = library ? dlsym(library, name) : nullptr;
  if (!found) {
    fprintf(stderr, "nm_device_sockets: libcuda.so.1 does not give %s\n", name);
    exit(1);
  }
  return reinterpret_cast<Function>(found);
}

#define CU(name, ...)                                                                           \
  do {                                                                                          \
    static const auto function_ = find<decltype(&::name)>(#name);                               \
    if (CUresult result_ = function_(__VA_ARGS__); result_ != CUDA_SUCCESS) {                   \
      fprintf(stderr, "nm_device_sockets: %s answered %d\n", #name, static_cast<int>(result_)); \
      exit(1);                                                                                  \
    }                                                                                           \
  } while (0)

bool is_done(CUevent event) {
  static const auto query = find<decltype(&::cuEventQuery)>("cuEventQuery");
  return query(event) == CUDA_SUCCESS;
}

template <typename F>
void spin(F&& until) {
  while (!until()) __builtin_ia32_pause();
}

constexpr size_t kSize = 1 << 20, kSlots = 4;

struct Bench {
  std::vector<Pair> pairs;  // the last one carries requests
  CUdeviceptr device = 0;
  CUstream stream = nullptr;
  char* pinned = nullptr;  // kSlots of kSize
  std::vector<char> memory = std::vector<char>(kSize, 1);
  std::array<std::array<CUevent, 16>, kSlots> events{};

  size_t lanes() const { return pairs.size() - 1; }
  size_t share() const { return kSize / lanes(); }

  // GB/s of `times` buffers from the device; `waited`: each is asked for when the one before has come.
  double out(int times, bool waited) {
    // How many of its pieces each connection may send and has received.
    std::vector<std::atomic<int>> may(lanes()), sent(lanes()), received(lanes());
    std::vector<std::thread> threads;
    for (size_t i = 0; i < lanes(); i++) {
      threads.emplace_back([&, i] {
        for (int k = 0; k < times; k++) {
          spin([&] { return may[i].load(std::memory_order_acquire) > k; });
          must(pass(true, pairs[i].far.get(), pinned + static_cast<size_t>(k) % kSlots * kSize + i * share(), share()));
          sent[i].store(k + 1, std::memory_order_release);
        }
      });
      threads.emplace_back([&, i] {
        for (int k = 0; k < times; k++) {
          must(pass(false, pairs[i].near.get(), memory.data() + i * share(), share()));
          received[i].store(k + 1, std::memory_order_release);
        }
      });
    }
    auto all = [](auto& counts, int k) {
      return std::all_of(counts.begin(), counts.end(), [k](auto& c) { return c.load(std::memory_order_acquire) > k; });
    };
    threads.emplace_back([&] {  // the device's side
      CU(cuCtxSetCurrent, context);
      int told = 0;  // pieces
      auto tell = [&] {
        const size_t n = static_cast<size_t>(told);
        if (!is_done(events[n / lanes() % kSlots][n % lanes()])) return false;
        may[n % lanes()].fetch_add(1, std::memory_order_release);
        told++;
        return true;
      };
      for (int k = 0; k < times; k++) {
        char byte;
        if (waited) must(spin_for_byte(pairs.back().far.get(), &byte));
        if (k >= static_cast<int>(kSlots)) {
          while (told < (k - static_cast<int>(kSlots) + 1) * static_cast<int>(lanes())) tell();
          spin([&] { return all(sent, k - static_cast<int>(kSlots)) || (tell(), false); });
        }
        const size_t slot = static_cast<size_t>(k) % kSlots;
        for (size_t i = 0; i < lanes(); i++) {
          CU(cuMemcpyDtoHAsync_v2, pinned + slot * kSize + i * share(), device + i * share(), share(), stream);
          CU(cuEventRecord, events[slot][i], stream);
        }
        if (waited)
          while (told < (k + 1) * static_cast<int>(lanes())) tell();
      }
      while (told < times * static_cast<int>(lanes())) tell();
    });
    const auto start = Clock::now();
    for (int k = 0; k < times; k++) {
      char byte = 1;
      if (waited) must(pass(true, pairs.back().near.get(), &byte, 1));
      spin([&] { return all(received, k); });
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    for (auto& t : threads) t.join();
    return static_cast<double>(kSize) * times / seconds / 1e9;
  }

  // GB/s of `times` buffers to the device.
  double in(int times) {
    std::vector<std::atomic<int>> received(lanes()), given(lanes());
    std::vector<std::thread> threads;
    for (size_t i = 0; i < lanes(); i++) {
      threads.emplace_back([&, i] {
        for (int k = 0; k < times; k++) must(pass(true, pairs[i].near.get(), memory.data() + i * share(), share()));
      });
      threads.emplace_back([&, i] {
        for (int k = 0; k < times; k++) {
          spin([&] { return given[i].load(std::memory_order_acquire) > k - static_cast<int>(kSlots); });
          must(
              pass(false, pairs[i].far.get(), pinned + static_cast<size_t>(k) % kSlots * kSize + i * share(), share()));
          received[i].store(k + 1, std::memory_order_release);
        }
      });
    }
    const auto start = Clock::now();
    std::vector<int> copied(lanes()), over(lanes());
    const int last = times * static_cast<int>(lanes());
    for (int done = 0; done < last;) {
      for (size_t i = 0; i < lanes(); i++) {
        if (copied[i] < received[i].load(std::memory_order_acquire)) {
          const size_t slot = static_cast<size_t>(copied[i]++) % kSlots;
          CU(cuMemcpyHtoDAsync_v2, device + i * share(), pinned + slot * kSize + i * share(), share(), stream);
          CU(cuEventRecord, events[slot][i], stream);
        }
        if (over[i] < copied[i] && is_done(events[static_cast<size_t>(over[i]) % kSlots][i])) {
          given[i].store(++over[i], std::memory_order_release);
          done++;
        }
      }
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    for (auto& t : threads) t.join();
    return static_cast<double>(kSize) * times / seconds / 1e9;
  }

  CUcontext context = nullptr;

 private:
  static void must(bool right) {
    if (right) return;
    fprintf(stderr, "nm_device_sockets: a connection ended: %s\n", strerror(errno));
    exit(1);
  }
};

}  // namespace

int main(int argc, char** argv) {
  Options options = parse(argc, argv);
  if (options.connections > 16 || (options.connections & (options.connections - 1)))
    usage(argv[0], "--connections takes 1, 2, 4, 8 or 16");
  options.connections++;
  Bench b;
  b.pairs = connect(options);
  CUdevice device = 0;
  CU(cuInit, 0);
  CU(cuDeviceGet, &device, 0);
  CU(cuDevicePrimaryCtxRetain, &b.context, device);
  CU(cuCtxSetCurrent, b.context);
  CU(cuStreamCreate, &b.stream, CU_STREAM_NON_BLOCKING);
  CU(cuMemAlloc_v2, &b.device, kSize);
  void* pinned;
  CU(cuMemHostAlloc, &pinned, kSlots * kSize, 0);
  b.pinned = static_cast<char*>(pinned);
  for (auto& slot : b.events)
    for (CUevent& event : slot) CU(cuEventCreate, &event, CU_EVENT_DISABLE_TIMING);
  const int times = options.quick ? 8 : 400;
  const std::string of = "_1M_" + std::to_string(b.lanes());
  auto measure = [&](const std::string& name, const std::function<double()>& sample) {
    std::vector<double> samples;
    sample();
    for (unsigned r = 0; r < options.rounds; r++) samples.push_back(sample());
    report(name + of, "GB/s", samples);
  };
  measure("waited_out", [&] { return b.out(times, true); });
  measure("stream_out", [&] { return b.out(times, false); });
  measure("stream_in", [&] { return b.in(times); });
}
