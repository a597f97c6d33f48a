// A loaded module: code, constants, variables in memory.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "softgpu/ptx/exec.h"

namespace nm::softgpu::ptx {

// Values that instructions use as immediates, each spread over 32 lanes once.
class ConstantPool {
 public:
  // `bytes`: 2, 4, 8 or 16 a lane; kNoRef when the pool is full.
  Ref intern(uint64_t value, uint32_t bytes);
  Ref predicate(bool value);
  AlignedBytes finish() const;

 private:
  std::vector<uint64_t> data_;
  std::unordered_map<uint64_t, Ref> known_[5];
};

struct KernelImpl final : Kernel {
  const KernelInfo& info() const override { return info_; }
  KernelInfo info_;
  const Program* program = nullptr;
  const Function* function = nullptr;
};

struct Program {
  Memory* memory = nullptr;
  std::vector<std::unique_ptr<Function>> functions;
  AlignedBytes constants;
  std::vector<std::unique_ptr<KernelImpl>> kernels;
  std::vector<Variable> variables;
  std::vector<uint64_t> owned;  // addresses to give back
  ~Program() {
    for (uint64_t address : owned) memory->release(address);
  }

  // The function that a function pointer names; null: none.
  const Function* at(uint64_t address) const {
    uint64_t index = (address & ~Function::kAddressTag) >> 4;
    if ((address & Function::kAddressTag) != Function::kAddressTag || (address & 15) || index == 0 ||
        index > functions.size())
      return nullptr;
    return functions[index - 1].get();
  }
};

}  // namespace nm::softgpu::ptx
