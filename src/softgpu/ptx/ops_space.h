// Addresses of state spaces, and copies between them.
#pragma once

#include "softgpu/ptx/code.h"

namespace nm::softgpu::ptx {

// r[0] = r[1], both 64 bits.
void generic_from_shared(Exec& x, const Inst& in);
void shared_from_generic(Exec& x, const Inst& in);
void generic_from_local(Exec& x, const Inst& in);
void local_from_generic(Exec& x, const Inst& in);

// r[0] = the generic address of the lane's own parameter memory in this frame, at offset imm.
void frame_param_address(Exec& x, const Inst& in);

// isspacep: predicate r[0] of address r[1]; space; flags 1: anywhere in the cluster.
void test_space(Exec& x, const Inst& in);

// mapa and getctarank; flags 1: addresses are offsets in shared memory, not generic ones.
void map_cluster_address(Exec& x, const Inst& in);
void cluster_rank_of(Exec& x, const Inst& in);

// cp.async: from r[0] + imm (register of `mode` bytes) to shared r[1] + r[3] (register of `width` bytes), `size` bytes;
// r[2]: how many to take, the rest zero; or, flags 1, a predicate that says to write zeros.
void copy_global_to_shared(Exec& x, const Inst& in);

// cp.async.bulk: r[1] bytes (a multiple of 16) from r[0] + imm to r[4] + the constant r[3]. mode, width: address bytes of
// source and target; space: that of the target; flags 1: the source is shared memory.
void copy_bulk(Exec& x, const Inst& in);

}  // namespace nm::softgpu::ptx
