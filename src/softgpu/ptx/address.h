// From an address operand to host addresses in Exec::address, checked. Shared by loads, stores and atomics.
#pragma once

#include <bit>

#include "softgpu/ptx/lanes.h"
#include "softgpu/ptx/ops.h"

namespace nm::softgpu::ptx::NM_PTX_ISA {

// Fills x.address: active lanes get theirs, the others that of the first active lane. Answers false after raise().
// Distances are tested by sign bits: user addresses are below 2^63, and what is not wraps into a set bit.
NM_INLINE bool addresses(Exec& x, const Inst& in, Ref ref, uint32_t bytes, bool write) {
  uint64_t* to = x.address;
  const uint64_t add = in.imm;
  if (in.width == 8) {
    const uint64_t* a = x.reg<uint64_t>(ref);
#pragma GCC ivdep
    for (uint32_t l = 0; l < kLanes; ++l) to[l] = a[l] + add;
  } else {
    const uint32_t* a = x.reg<uint32_t>(ref);
#pragma GCC ivdep
    for (uint32_t l = 0; l < kLanes; ++l) to[l] = a[l] + add;
  }
  uint64_t low = 0, high = 0;
  const uint32_t mask = x.mask;
  const uint32_t first = static_cast<uint32_t>(std::countr_zero(mask));
  if (in.space == Space::shared) {
    const uint64_t window = x.shared_begin;
#pragma GCC ivdep
    for (uint32_t l = 0; l < kLanes; ++l) to[l] = (to[l] & 0xffffffff) + window;
    low = window;
    high = x.shared_end;
  } else if (in.space == Space::local) {
    const uint64_t window = x.local_begin, stride = x.local_stride;
    uint64_t out = 0;
    for (uint32_t l = 0; l < kLanes; ++l) {
      uint64_t bad = to[l] + bytes > stride || to[l] > stride;
      out |= bad << l;
      to[l] += window + l * stride;
    }
    if (out & mask) {
      x.raise(Fault::illegal_address, static_cast<uint32_t>(std::countr_zero(static_cast<uint32_t>(out & mask))),
              "access outside the local memory of the thread");
      return false;
    }
    low = window;
    high = window + stride * kLanes;
  } else {
    for (const Range& range : x.ranges) {
      if (to[first] >= range.begin && to[first] < range.end && (range.writable || !write)) {
        low = range.begin;
        high = range.end;
        break;
      }
    }
  }
  if (mask != kAllLanes) {
    const uint64_t other = to[first];
#pragma GCC ivdep
    for (uint32_t l = 0; l < kLanes; ++l) to[l] = (mask >> l & 1) ? to[l] : other;
  }
  const uint64_t last = high - bytes;
  uint64_t bad = 0, odd = 0;
#pragma GCC ivdep
  for (uint32_t l = 0; l < kLanes; ++l) {
    bad |= (to[l] - low) | (last - to[l]);
    odd |= to[l];
  }
  if (__builtin_expect(static_cast<int64_t>(bad) < 0 || (odd & (bytes - 1)) != 0 || high - low < bytes, 0)) {
    return check_addresses(x, in.space, bytes, write);
  }
  return true;
}

// The lanes lie side by side, so that the whole warp is one copy.
NM_INLINE bool side_by_side(const Exec& x, uint32_t bytes) {
  const uint64_t* at = x.address;
  uint64_t differs = 0;
#pragma GCC ivdep
  for (uint32_t l = 0; l < kLanes; ++l) differs |= at[l] ^ (at[0] + l * uint64_t{bytes});
  return differs == 0;
}

}  // namespace nm::softgpu::ptx::NM_PTX_ISA
