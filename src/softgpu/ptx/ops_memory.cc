// ld and st. Operands: values in r[0..3], the address register in r[4], displacement in imm.
#include "softgpu/ptx/address.h"

namespace nm::softgpu::ptx::NM_PTX_ISA {
namespace {

using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using u128 = unsigned __int128;

template <class T>
NM_INLINE T at(u64 address) {
  T v;
  __builtin_memcpy(&v, reinterpret_cast<const void*>(address), sizeof(T));
  return v;
}

// T in memory, R in the register; R is wider when PTX lets a small value live in a big register.
template <class T, class R>
void load(Exec& x, const Inst& in) {
  if (in.flags & kUniformParam) {  // a kernel's parameter: one value for all
    const char* from = reinterpret_cast<const char*>(x.reg<u64>(special_ref(Special64::param_base))[0] + in.imm);
    for (u32 k = 0; k < in.count; ++k) {
      if (in.r[k] == kNoRef) continue;
      T v;
      __builtin_memcpy(&v, from + k * sizeof(T), sizeof(T));
      set_lanes<R>(x, in.r[k], [=](u32) { return static_cast<R>(v); });
    }
    return;
  }
  if (in.flags & kFrameParam) {
    const char* from = x.frame->params.data() + in.imm;
    const u32 stride = x.frame->function->param_bytes;
    for (u32 k = 0; k < in.count; ++k) {
      if (in.r[k] == kNoRef) continue;
      const char* base = from + k * sizeof(T);
      set_lanes<R>(x, in.r[k], [=](u32 l) { return static_cast<R>(at<T>(reinterpret_cast<u64>(base + l * stride))); });
    }
    return;
  }
  const u32 bytes = static_cast<u32>(sizeof(T)) * in.count;
  if (in.flags & kSpinHint) x.spin_hint = true;
  if (!addresses(x, in, in.r[4], bytes, false)) return;
  if (in.count == 1 && side_by_side(x, sizeof(T))) {
    const char* from = reinterpret_cast<const char*>(x.address[0]);
    set_lanes<R>(x, in.r[0], [=](u32 l) { return static_cast<R>(at<T>(reinterpret_cast<u64>(from) + l * sizeof(T))); });
    return;
  }
  for (u32 k = 0; k < in.count; ++k) {
    if (in.r[k] == kNoRef) continue;
    const u64* from = x.address;
    const u64 offset = k * sizeof(T);
    set_lanes<R>(x, in.r[k], [=](u32 l) { return static_cast<R>(at<T>(from[l] + offset)); });
  }
}

template <class T, class R>
void store(Exec& x, const Inst& in) {
  if (in.flags & kFrameParam) {
    char* to = x.frame->params.data() + in.imm;
    const u32 stride = x.frame->function->param_bytes;
    for (u32 k = 0; k < in.count; ++k) {
      const R* a = x.reg<R>(in.r[k]);
      for (u32 m = x.mask; m; m &= m - 1) {
        u32 l = static_cast<u32>(std::countr_zero(m));
        T v = static_cast<T>(a[l]);
        __builtin_memcpy(to + l * stride + k * sizeof(T), &v, sizeof(T));
      }
    }
    return;
  }
  const u32 bytes = static_cast<u32>(sizeof(T)) * in.count;
  if (!addresses(x, in, in.r[4], bytes, true)) return;
  if (in.count == 1 && x.mask == kAllLanes && side_by_side(x, sizeof(T))) {
    T* to = reinterpret_cast<T*>(x.address[0]);
    const R* a = x.reg<R>(in.r[0]);
#pragma GCC ivdep
    for (u32 l = 0; l < kLanes; ++l) to[l] = static_cast<T>(a[l]);
    return;
  }
  for (u32 m = x.mask; m; m &= m - 1) {
    u32 l = static_cast<u32>(std::countr_zero(m));
    for (u32 k = 0; k < in.count; ++k) {
      T v = static_cast<T>(x.reg<R>(in.r[k])[l]);
      __builtin_memcpy(reinterpret_cast<void*>(x.address[l] + k * sizeof(T)), &v, sizeof(T));
    }
  }
}

}  // namespace

Handler find_load(Type type, uint32_t bytes) {
#define WIDER(T)                                       \
  return bytes == 2 && sizeof(T) <= 2   ? load<T, u16> \
         : bytes == 4 && sizeof(T) <= 4 ? load<T, u32> \
         : bytes == 8 && sizeof(T) <= 8 ? load<T, u64> \
                                        : nullptr
  switch (type) {
    case Type::s8:
      WIDER(int8_t);
    case Type::s16:
      WIDER(int16_t);
    case Type::s32:
      WIDER(int32_t);
    default:
      break;
  }
  switch (size_of(type)) {
    case 1:
      WIDER(uint8_t);
    case 2:
      WIDER(u16);
    case 4:
      WIDER(u32);
    case 8:
      return bytes == 8 ? load<u64, u64> : nullptr;
    case 16:
      return bytes == 16 ? load<u128, u128> : nullptr;
    default:
      return nullptr;
  }
#undef WIDER
}

Handler find_store(Type type, uint32_t bytes) {
#define WIDER(T)                                        \
  return bytes == 2 && sizeof(T) <= 2   ? store<T, u16> \
         : bytes == 4 && sizeof(T) <= 4 ? store<T, u32> \
         : bytes == 8 && sizeof(T) <= 8 ? store<T, u64> \
                                        : nullptr
  switch (size_of(type)) {
    case 1:
      WIDER(uint8_t);
    case 2:
      WIDER(u16);
    case 4:
      WIDER(u32);
    case 8:
      return bytes == 8 ? store<u64, u64> : nullptr;
    case 16:
      return bytes == 16 ? store<u128, u128> : nullptr;
    default:
      return nullptr;
  }
#undef WIDER
}

}  // namespace nm::softgpu::ptx::NM_PTX_ISA
