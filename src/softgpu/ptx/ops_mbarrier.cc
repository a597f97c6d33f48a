#include "softgpu/ptx/ops_mbarrier.h"

#include "softgpu/ptx/address.h"

namespace nm::softgpu::ptx {
namespace {

constexpr uint64_t kCount = 0xfffff;

// In memory: pending arrivals (20 bits), expected arrivals (20), bytes to come (23, signed), phase (1).
struct State {
  uint64_t pending, expected, phase;
  int64_t bytes;

  explicit State(uint64_t word)
      : pending(word & kCount),
        expected(word >> 20 & kCount),
        phase(word >> 63),
        bytes(static_cast<int64_t>(word << 1) >> 41) {}
  uint64_t word() const {
    return (pending & kCount) | (expected & kCount) << 20 | (static_cast<uint64_t>(bytes) & 0x7fffff) << 40 |
           phase << 63;
  }
  void settle() {
    if (pending != 0 || bytes != 0) return;
    phase ^= 1;
    pending = expected;
  }
};

bool one(Exec& x, const Inst& in, uint32_t lane, uint64_t& word) {
  const MBarrierOp op = static_cast<MBarrierOp>(in.mode);
  State state(word);
  const uint64_t token = word;
  const uint64_t number = in.r[1] == kNoRef              ? 1
                          : op == MBarrierOp::wait_token ? x.reg<uint64_t>(in.r[1])[lane]
                                                         : x.reg<uint32_t>(in.r[1])[lane];
  bool done = false;
  switch (op) {
    case MBarrierOp::init:
      state = State(0);
      state.pending = state.expected = number;
      break;
    case MBarrierOp::inval:
      state = State(0);
      break;
    case MBarrierOp::expect_tx:
      state.bytes += static_cast<int64_t>(number);
      break;
    case MBarrierOp::complete_tx:
      state.bytes -= static_cast<int64_t>(number);
      state.settle();
      break;
    case MBarrierOp::wait_token:
      done = state.phase != (number >> 63);
      break;
    case MBarrierOp::wait_parity:
      done = state.phase != (number & 1);
      break;
    case MBarrierOp::arrive:
    case MBarrierOp::arrive_drop:
    case MBarrierOp::arrive_expect: {
      uint64_t arrivals = number;
      if (op == MBarrierOp::arrive_expect) {
        state.bytes += static_cast<int64_t>(number);
        arrivals = 1;
      }
      if (arrivals > state.pending) {
        x.raise(Fault::illegal_instruction, lane, "more arrivals at an mbarrier than it expects");
        return false;
      }
      if (op == MBarrierOp::arrive_drop) state.expected -= arrivals;
      state.pending -= arrivals;
      state.settle();
      if (in.r[0] != kNoRef) x.reg<uint64_t>(in.r[0])[lane] = token;
      break;
    }
  }
  word = state.word();
  return done;
}

}  // namespace

void mbarrier(Exec& x, const Inst& in) {
  if (!NM_PTX_ISA::addresses(x, in, in.r[4], 8, true)) return;
  uint32_t done = 0;
  const MBarrierOp op = static_cast<MBarrierOp>(in.mode);
  const bool waits = op == MBarrierOp::wait_token || op == MBarrierOp::wait_parity;
  for (uint32_t m = x.mask; m && x.fault == Fault::none; m &= m - 1) {
    const uint32_t lane = static_cast<uint32_t>(std::countr_zero(m));
    uint64_t* at = reinterpret_cast<uint64_t*>(x.address[lane]);
    uint64_t word = *at;
    if (one(x, in, lane, word)) done |= 1u << lane;
    *at = word;
  }
  if (!waits) return;
  x.spin_hint = true;
  uint32_t* p = x.reg<uint32_t>(in.r[0]);
  *p = (*p & ~x.mask) | done;
}

void mbarrier_pending(Exec& x, const Inst& in) {
  for (uint32_t m = x.mask; m; m &= m - 1) {
    const uint32_t lane = static_cast<uint32_t>(std::countr_zero(m));
    x.reg<uint32_t>(in.r[0])[lane] = static_cast<uint32_t>(x.reg<uint64_t>(in.r[1])[lane] & kCount);
  }
}

}  // namespace nm::softgpu::ptx
