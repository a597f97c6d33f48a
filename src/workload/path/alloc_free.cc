// AllocFree: device memory asked for and given back, eight pieces at a time, by size; and the same in stream order
// (cuMemAllocAsync), where the device's driver keeps a pool and the host only queues. Bound by the driver: page tables
// are written for what its own pools do not hold.
#include "device/cuda_api.h"
#include "workload/path/programs.h"
#include "workload/pattern.h"
#include "workload/timing.h"

namespace nm::workload::path {
namespace {

constexpr int kPieces = 8;

// Every piece holds what was written to it, at both ends: none overlaps another, each is as long as it was asked for.
size_t wrong_words(Run& run, const CUdeviceptr* pieces, size_t bytes) {
  CUstream stream = device::cuda_stream(run.device());
  constexpr size_t kWords = 64;
  const auto salt = static_cast<uint32_t>(run.random()());
  const auto at_both_ends = [&](const auto& visit) {
    for (uint32_t i = 0; i < kPieces; ++i) {
      visit(pieces[i], salt + 2 * i);
      visit(pieces[i] + bytes - kWords * 4, salt + 2 * i + 1);
    }
  };
  std::vector<uint32_t> words(kWords);
  at_both_ends([&](CUdeviceptr at, uint32_t which) {
    fill_pattern(words, which);
    CU(cuMemcpyHtoDAsync_v2, at, words.data(), kWords * 4, stream);
    CU(cuStreamSynchronize, stream);
  });
  size_t wrong = 0;
  at_both_ends([&](CUdeviceptr at, uint32_t which) {
    std::fill(words.begin(), words.end(), 0xdeadbeef);
    CU(cuMemcpyDtoHAsync_v2, words.data(), at, kWords * 4, stream);
    CU(cuStreamSynchronize, stream);
    wrong += count_wrong(words, which);
  });
  return wrong;
}

struct Calls {
  std::vector<double> alloc, free;
};

template <typename Alloc, typename Free>
Calls measure(Run& run, size_t bytes, const std::string& what, const Alloc& alloc, const Free& release) {
  Calls calls;
  size_t wrong = 0;
  const int rounds = run.pick(2, 8, 8);
  for (int pass = -1; pass < run.passes(); ++pass) {
    std::vector<double> allocs, frees;
    for (int round = 0; round < rounds; ++round) {
      CUdeviceptr pieces[kPieces] = {};
      allocs.push_back(seconds_of([&] {
        for (CUdeviceptr& piece : pieces) alloc(piece);
      }));
      if (round == 0) wrong += wrong_words(run, pieces, bytes);
      frees.push_back(seconds_of([&] {
        for (const CUdeviceptr piece : pieces) release(piece);
      }));
    }
    run.device().finish();
    if (pass < 0) continue;
    calls.alloc.push_back(1e6 * median(allocs) / kPieces);
    calls.free.push_back(1e6 * median(frees) / kPieces);
  }
  run.check(what + ", pieces of " + text_of(bytes) + ": wrong words", static_cast<double>(wrong), 0);
  return calls;
}

}  // namespace

void alloc_free(Run& run) {
  const CUstream stream = device::cuda_stream(run.device());
  int pools = 0;
  CU(cuDeviceGetAttribute, &pools, CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, device::cuda_device(run.device()));
  const auto& api = device::cuda_api();
  const bool ordered = pools && api.cuMemAllocAsync && api.cuMemFreeAsync;
  if (!ordered) run.skip("alloc_async", "The device or its driver has no stream-ordered memory.");
  for (size_t bytes = 4 << 10; bytes <= run.pick<size_t>(4 << 20, 256 << 20, 256 << 20); bytes *= 4) {
    const auto report = [&](const std::string& suffix, const Calls& calls) {
      const auto figure = [&](const std::string& series) {
        return Figure{series + "/" + text_of(bytes), "us", false, false, series, static_cast<double>(bytes), "B"};
      };
      run.sample(figure("alloc" + suffix), calls.alloc);
      run.sample(figure("free" + suffix), calls.free);
    };
    report("", measure(
                   run, bytes, "cuMemAlloc", [&](CUdeviceptr& piece) { CU(cuMemAlloc_v2, &piece, bytes); },
                   [&](CUdeviceptr piece) { CU(cuMemFree_v2, piece); }));
    if (!ordered) continue;
    report("_async",
           measure(
               run, bytes, "cuMemAllocAsync", [&](CUdeviceptr& piece) { CU(cuMemAllocAsync, &piece, bytes, stream); },
               [&](CUdeviceptr piece) { CU(cuMemFreeAsync, piece, stream); }));
  }
}

}  // namespace nm::workload::path
