// Operations among the lanes of a warp. A collective has two halves: the deposit copies what each lane brings into
// Exec::source, the finish computes from what all participants brought; so lanes may take part from different places.
// Operands: results r[0], r[1]; sources r[2], r[3], r[4]; membermask r[5] (kNoRef: the active lanes).
#pragma once

#include "softgpu/ptx/code.h"

namespace nm::softgpu::ptx {

enum class Shuffle : uint8_t { up, down, bfly, idx };
enum class Vote : uint8_t { all, any, uni, ballot };
enum class Redux : uint8_t { add, min, max, and_, or_, xor_ };

// Deposits.
void deposit_none(Exec& x, const Inst& in);
void deposit_u32(Exec& x, const Inst& in);        // r[2..4] that are there
void deposit_u64(Exec& x, const Inst& in);        // r[2]
void deposit_predicate(Exec& x, const Inst& in);  // r[2], negated when flags & 1

// Finishes. `mode` of the instruction is the Shuffle, Vote or Redux.
void finish_none(Exec& x, const Inst& in);
void finish_shuffle(Exec& x, const Inst& in);
void finish_vote(Exec& x, const Inst& in);
void finish_match_any(Exec& x, const Inst& in);
void finish_match_all(Exec& x, const Inst& in);
void finish_redux_u32(Exec& x, const Inst& in);
void finish_redux_s32(Exec& x, const Inst& in);
void finish_elect(Exec& x, const Inst& in);

// Not collective.
void memory_fence(Exec& x, const Inst& in);
void active_mask(Exec& x, const Inst& in);
void read_clock(Exec& x, const Inst& in);  // size: 4 or 8; mode 0: %clock, 1: %globaltimer; flags 1: the high word

}  // namespace nm::softgpu::ptx
