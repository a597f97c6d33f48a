#include "softgpu/ptx/ops_warp.h"

#include <bit>
#include <chrono>

#include "softgpu/ptx/exec.h"

namespace nm::softgpu::ptx {
namespace {

template <class F>
void each(uint32_t mask, F f) {
  for (; mask; mask &= mask - 1) f(static_cast<uint32_t>(std::countr_zero(mask)));
}
void set_u32(Exec& x, Ref ref, uint32_t lane, uint32_t value) { x.reg<uint32_t>(ref)[lane] = value; }
void set_predicate(Exec& x, Ref ref, uint32_t bits) {
  if (ref == kNoRef) return;
  uint32_t* p = x.reg<uint32_t>(ref);
  *p = (*p & ~x.mask) | (bits & x.mask);
}

template <class T>
uint32_t reduce(Redux how, T a, T b) {
  switch (how) {
    case Redux::add:
      return static_cast<uint32_t>(a) + static_cast<uint32_t>(b);
    case Redux::min:
      return static_cast<uint32_t>(a < b ? a : b);
    case Redux::max:
      return static_cast<uint32_t>(a > b ? a : b);
    case Redux::and_:
      return static_cast<uint32_t>(a & b);
    case Redux::or_:
      return static_cast<uint32_t>(a | b);
    case Redux::xor_:
      return static_cast<uint32_t>(a ^ b);
  }
  return 0;
}

template <class T>
void redux(Exec& x, const Inst& in) {
  bool first = true;
  uint32_t sum = 0;
  each(x.participants, [&](uint32_t l) {
    uint32_t v = static_cast<uint32_t>(x.source[0][l]);
    sum = first ? v : reduce<T>(static_cast<Redux>(in.mode), static_cast<T>(sum), static_cast<T>(v));
    first = false;
  });
  each(x.mask, [&](uint32_t l) { set_u32(x, in.r[0], l, sum); });
}

// All lanes are computed and the active ones kept: a loop without branches.
template <Shuffle Mode>
void shuffle(Exec& x, const Inst& in) {
  uint32_t result[kLanes], valid = 0;
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    const uint32_t b = x.source[1][lane] & 31, c = static_cast<uint32_t>(x.source[2][lane]);
    const uint32_t segment = c >> 8 & 31, clamp = c & 31;
    const int32_t last = static_cast<int32_t>((lane & segment) | (clamp & ~segment));
    const int32_t self = static_cast<int32_t>(lane), step = static_cast<int32_t>(b);
    const int32_t from = Mode == Shuffle::up     ? self - step
                         : Mode == Shuffle::down ? self + step
                         : Mode == Shuffle::bfly ? self ^ step
                                                 : static_cast<int32_t>((lane & segment) | (b & ~segment));
    const bool in_range = Mode == Shuffle::up ? from >= last : from <= last;
    const bool there = in_range && (x.participants >> (from & 31) & 1);
    valid |= (in_range ? 1u : 0u) << lane;
    result[lane] = static_cast<uint32_t>(x.source[0][there ? from & 31 : self]);
  }
  uint32_t* d = x.reg<uint32_t>(in.r[0]);
  if (x.mask == kAllLanes) {
    std::memcpy(d, result, sizeof result);
  } else {
    each(x.mask, [&](uint32_t l) { d[l] = result[l]; });
  }
  set_predicate(x, in.r[1], valid);
}

}  // namespace

void deposit_none(Exec&, const Inst&) {}
void deposit_u32(Exec& x, const Inst& in) {
  for (uint32_t k = 0; k < 3; ++k) {
    if (in.r[2 + k] == kNoRef) continue;
    const uint32_t* from = x.reg<uint32_t>(in.r[2 + k]);
    if (x.mask == kAllLanes) {
      for (uint32_t l = 0; l < kLanes; ++l) x.source[k][l] = from[l];
      continue;
    }
    each(x.mask, [&](uint32_t l) { x.source[k][l] = from[l]; });
  }
}
void deposit_u64(Exec& x, const Inst& in) {
  const uint64_t* from = x.reg<uint64_t>(in.r[2]);
  each(x.mask, [&](uint32_t l) { x.source[0][l] = from[l]; });
}
void deposit_predicate(Exec& x, const Inst& in) {
  uint32_t bits = *x.reg<uint32_t>(in.r[2]) ^ (in.flags & 1 ? ~0u : 0);
  each(x.mask, [&](uint32_t l) { x.source[0][l] = bits >> l & 1; });
}

void finish_none(Exec&, const Inst&) {}

void finish_shuffle(Exec& x, const Inst& in) {
  switch (static_cast<Shuffle>(in.mode)) {
    case Shuffle::up:
      return shuffle<Shuffle::up>(x, in);
    case Shuffle::down:
      return shuffle<Shuffle::down>(x, in);
    case Shuffle::bfly:
      return shuffle<Shuffle::bfly>(x, in);
    case Shuffle::idx:
      return shuffle<Shuffle::idx>(x, in);
  }
}

void finish_vote(Exec& x, const Inst& in) {
  uint32_t votes = 0;
  each(x.participants, [&](uint32_t l) { votes |= static_cast<uint32_t>(x.source[0][l] & 1) << l; });
  const uint32_t all = x.participants;
  bool holds = false;
  switch (static_cast<Vote>(in.mode)) {
    case Vote::all:
      holds = votes == all;
      break;
    case Vote::any:
      holds = votes != 0;
      break;
    case Vote::uni:
      holds = votes == all || votes == 0;
      break;
    case Vote::ballot:
      each(x.mask, [&](uint32_t l) { set_u32(x, in.r[0], l, votes); });
      return;
  }
  set_predicate(x, in.r[0], holds ? ~0u : 0);
}

void finish_match_any(Exec& x, const Inst& in) {
  each(x.mask, [&](uint32_t l) {
    uint32_t same = 0;
    each(x.participants, [&](uint32_t other) { same |= (x.source[0][other] == x.source[0][l] ? 1u : 0) << other; });
    set_u32(x, in.r[0], l, same);
  });
}
void finish_match_all(Exec& x, const Inst& in) {
  const uint64_t value = x.source[0][std::countr_zero(x.participants)];
  bool same = true;
  each(x.participants, [&](uint32_t l) { same = same && x.source[0][l] == value; });
  if (in.r[0] != kNoRef) each(x.mask, [&](uint32_t l) { set_u32(x, in.r[0], l, same ? x.participants : 0); });
  set_predicate(x, in.r[1], same ? ~0u : 0);
}

void finish_redux_u32(Exec& x, const Inst& in) { redux<uint32_t>(x, in); }
void finish_redux_s32(Exec& x, const Inst& in) { redux<int32_t>(x, in); }

void finish_elect(Exec& x, const Inst& in) {
  const uint32_t leader = static_cast<uint32_t>(std::countr_zero(x.participants));
  if (in.r[0] != kNoRef) each(x.mask, [&](uint32_t l) { set_u32(x, in.r[0], l, leader); });
  set_predicate(x, in.r[1], 1u << leader);
}

void memory_fence(Exec&, const Inst&) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

void active_mask(Exec& x, const Inst& in) {
  each(x.mask, [&](uint32_t l) { set_u32(x, in.r[0], l, x.mask); });
}

void read_clock(Exec& x, const Inst& in) {
  using namespace std::chrono;
  uint64_t now = in.mode == 0 ? static_cast<uint64_t>(steady_clock::now().time_since_epoch() / nanoseconds(1))
                              : static_cast<uint64_t>(system_clock::now().time_since_epoch() / nanoseconds(1));
  if (in.flags & 1) now >>= 32;
  x.spin_hint = true;
  each(x.mask, [&](uint32_t l) {
    if (in.size == 8)
      x.reg<uint64_t>(in.r[0])[l] = now;
    else
      set_u32(x, in.r[0], l, static_cast<uint32_t>(now));
  });
}

}  // namespace nm::softgpu::ptx
