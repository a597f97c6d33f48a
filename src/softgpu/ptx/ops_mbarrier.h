// Asynchronous barriers (mbarrier), objects of 64 bits in shared memory. Nothing is asynchronous here, so only counting
// is left. Operands: result r[0], address r[4] + imm, count, token or parity r[1].
#pragma once

#include "softgpu/ptx/code.h"

namespace nm::softgpu::ptx {

enum class MBarrierOp : uint8_t {
  init,  // count r[1]
  inval,
  arrive,  // token r[0] (may be none); count r[1] (none: 1)
  arrive_drop,
  arrive_expect,  // count r[1] of bytes to expect
  expect_tx,
  complete_tx,
  wait_token,   // predicate r[0]; token r[1], 64 bits
  wait_parity,  // predicate r[0]; parity r[1], 32 bits
};

// Inst::mode is the MBarrierOp.
void mbarrier(Exec& x, const Inst& in);
// r[0] = arrivals that token r[1] still waited for.
void mbarrier_pending(Exec& x, const Inst& in);

}  // namespace nm::softgpu::ptx
