// For tests: device memory on the heap, and launches with typed arguments.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "softgpu/ptx/ptx.h"

namespace nm::softgpu::ptx {

class TestMemory final : public Memory {
 public:
  ~TestMemory() override {
    for (auto& [address, bytes] : pieces_) std::free(reinterpret_cast<void*>(address));
  }
  Range find(uint64_t address) override {
    std::lock_guard lock(mutex_);
    auto after = pieces_.upper_bound(address);
    if (after == pieces_.begin()) return {};
    auto [begin, bytes] = *std::prev(after);
    return address < begin + bytes ? Range{begin, begin + bytes, true} : Range{};
  }
  uint64_t epoch() const override { return epoch_; }
  uint64_t allocate(uint64_t bytes, uint64_t align) override {
    std::lock_guard lock(mutex_);
    if (bytes > limit) return 0;
    align = align < 256 ? 256 : align;
    void* memory = std::aligned_alloc(align, (bytes + align - 1) / align * align);
    if (memory == nullptr) return 0;
    std::memset(memory, 0, bytes);
    pieces_[reinterpret_cast<uint64_t>(memory)] = bytes;
    return reinterpret_cast<uint64_t>(memory);
  }
  void release(uint64_t address) override {
    std::lock_guard lock(mutex_);
    pieces_.erase(address);
    std::free(reinterpret_cast<void*>(address));
    ++epoch_;
  }
  size_t pieces() const { return pieces_.size(); }
  uint64_t limit = uint64_t{1} << 30;

 private:
  std::mutex mutex_;
  std::map<uint64_t, uint64_t> pieces_;
  std::atomic<uint64_t> epoch_{1};
};

struct Dim {
  uint32_t x = 1, y = 1, z = 1;
};

class TestDevice {
 public:
  // An array in device memory that starts as `values`.
  template <class T>
  T* array(const std::vector<T>& values) {
    T* data = reinterpret_cast<T*>(memory.allocate(values.size() * sizeof(T), 256));
    std::memcpy(data, values.data(), values.size() * sizeof(T));
    return data;
  }
  template <class T>
  T* zeros(size_t count) {
    return reinterpret_cast<T*>(memory.allocate(count * sizeof(T), 256));
  }

  bool load(std::string_view text) {
    auto loaded = Module::load(text, memory, log);
    if (!loaded) return false;
    module = std::move(*loaded);
    return true;
  }

  template <class... Args>
  Outcome run(std::string_view name, Dim grid, Dim block, Args... args) {
    const Kernel* kernel = module == nullptr ? nullptr : module->find(name);
    if (kernel == nullptr) return {Fault::bad_launch, "no kernel " + std::string(name)};
    std::vector<uint8_t> params(kernel->info().param_bytes);
    size_t next = 0;
    bool fits = true;
    (
        [&](const auto& arg) {
          if (next >= kernel->info().params.size() || kernel->info().params[next].size != sizeof(arg)) {
            fits = false;
          } else {
            std::memcpy(params.data() + kernel->info().params[next++].offset, &arg, sizeof(arg));
          }
        }(args),
        ...);
    if (!fits || next != kernel->info().params.size()) return {Fault::bad_launch, "arguments do not fit"};
    launch.grid = {grid.x, grid.y, grid.z};
    launch.block = {block.x, block.y, block.z};
    launch.params = params;
    return ptx::run(
        *kernel, launch, memory, [&](std::string_view text) { printed += text; }, threads, nullptr);
  }

  TestMemory memory;
  std::string log, printed;
  std::unique_ptr<Module> module;
  Launch launch;
  int threads = 2;
};

#define EXPECT_RUNS(outcome)                               \
  do {                                                     \
    const Outcome result = (outcome);                      \
    EXPECT_EQ(result.fault, Fault::none) << result.detail; \
  } while (false)

}  // namespace nm::softgpu::ptx
