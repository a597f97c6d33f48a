// PTX text from a stranger: loaded, and what loads is run on a little memory for a few turns. The bounds checks of the
// engine have to hold against anything that passes the loader.
#include <stddef.h>
#include <stdint.h>

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

#include "softgpu/ptx/ptx.h"

namespace {

namespace ptx = nm::softgpu::ptx;

class SmallMemory final : public ptx::Memory {
 public:
  SmallMemory() : bytes_(kBytes / 8) {}
  ptx::Range find(uint64_t address) override {
    const uint64_t begin = reinterpret_cast<uint64_t>(bytes_.data());
    if (address < begin || address >= begin + used_) return {};
    return {begin, begin + used_, true};
  }
  // Asked once a turn: the launch is over after a few.
  uint64_t epoch() const override {
    if (++turns_ > 8) cancel = true;
    return 1;
  }
  uint64_t allocate(uint64_t bytes, uint64_t align) override {
    const uint64_t begin = reinterpret_cast<uint64_t>(bytes_.data());
    const uint64_t at = (begin + used_ + align - 1) / align * align - begin;
    if (bytes > kBytes || at > kBytes - bytes) return 0;
    used_ = at + bytes;
    return begin + at;
  }
  void release(uint64_t) override {}
  void restart() {
    turns_ = 0;
    cancel = false;
  }

  mutable std::atomic<bool> cancel{false};

 private:
  static constexpr uint64_t kBytes = 1 << 16;
  std::vector<uint64_t> bytes_;
  uint64_t used_ = 0;
  mutable int turns_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  SmallMemory memory;
  std::string log;
  auto module = ptx::Module::load(std::string_view(reinterpret_cast<const char*>(data), size), memory, log);
  if (!module) {
    if (log.empty()) __builtin_trap();  // a refusal says why
    return 0;
  }
  const uint64_t buffer = memory.allocate(1024, 256);
  for (const ptx::Kernel* kernel : (*module)->kernels()) {
    std::vector<uint8_t> params(kernel->info().param_bytes);
    if (params.size() >= 8) __builtin_memcpy(params.data(), &buffer, 8);
    ptx::Launch launch;
    launch.grid = {2, 1, 1};
    launch.block = {40, 1, 1};
    launch.params = params;
    memory.restart();
    ptx::run(*kernel, launch, memory, {}, 1, &memory.cancel);
  }
  return 0;
}
