#include "softgpu/ptx/vectors.h"

#include <bit>

#include "softgpu/ptx/exec.h"

namespace nm::softgpu::ptx {
namespace {

// A part of one byte lives in a 16-bit register.
uint32_t stride_of(const Inst& in) { return in.size == 1 ? 2 : in.size; }

}  // namespace

void pack_vector(Exec& x, const Inst& in) {
  const uint32_t whole = uint32_t{in.size} * in.count, stride = stride_of(in);
  char* to = x.reg<char>(in.r[0]);
  for (uint32_t m = x.mask; m; m &= m - 1) {
    const uint32_t l = static_cast<uint32_t>(std::countr_zero(m));
    char bytes[16];
    for (uint32_t k = 0; k < in.count; ++k)
      std::memcpy(bytes + k * in.size, x.reg<char>(in.r[1 + k]) + l * stride, in.size);
    std::memcpy(to + l * whole, bytes, whole);
  }
}

void unpack_vector(Exec& x, const Inst& in) {
  const uint32_t whole = uint32_t{in.size} * in.count, stride = stride_of(in);
  const char* from = x.reg<char>(in.r[0]);
  for (uint32_t m = x.mask; m; m &= m - 1) {
    const uint32_t l = static_cast<uint32_t>(std::countr_zero(m));
    char bytes[16];
    std::memcpy(bytes, from + l * whole, whole);
    for (uint32_t k = 0; k < in.count; ++k) {
      if (in.r[1 + k] == kNoRef) continue;
      char* to = x.reg<char>(in.r[1 + k]) + l * stride;
      if (in.size == 1) to[1] = 0;
      std::memcpy(to, bytes + k * in.size, in.size);
    }
  }
}

}  // namespace nm::softgpu::ptx
