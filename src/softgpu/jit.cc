#include "softgpu/jit.h"

#include <algorithm>
#include <cstring>

#include "softgpu/entry.h"

namespace nm::softgpu {

JitOptions::JitOptions(unsigned count, CUjit_option* options, void** values)
    : count_(count), options_(options), values_(values) {
  require(count == 0 || (options != nullptr && values != nullptr));
  for (unsigned i = 0; i < count; ++i) require(options[i] >= 0 && options[i] < CU_JIT_NUM_OPTIONS);
}

void** JitOptions::value_of(CUjit_option option) const {
  for (unsigned i = 0; i < count_; ++i) {
    if (options_[i] == option) return &values_[i];
  }
  return nullptr;
}

void JitOptions::write(const std::string& text, CUjit_option buffer, CUjit_option size) const {
  void** const at = value_of(buffer);
  void** const room = value_of(size);
  if (!at || !*at || !room) return;
  // The size is a number in the place of a pointer: in, what fits; out, what is there.
  const size_t fits = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(*room));
  size_t written = 0;
  if (fits > 0) {
    written = std::min(text.size(), fits - 1);
    std::memcpy(*at, text.data(), written);
    static_cast<char*>(*at)[written] = 0;
  }
  *room = reinterpret_cast<void*>(static_cast<uintptr_t>(written));
}

void JitOptions::report(const std::string& info, const std::string& error) const {
  write(info, CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES);
  write(error, CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
  if (void** const time = value_of(CU_JIT_WALL_TIME)) {
    const float none = 0;
    std::memcpy(time, &none, sizeof none);
  }
}

}  // namespace nm::softgpu
