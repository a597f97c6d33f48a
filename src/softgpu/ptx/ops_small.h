// Rare operations that are computed lane by lane: 8-bit floats, sums of absolute differences of bytes,
// packing with saturation.
#pragma once

#include "softgpu/ptx/code.h"

namespace nm::softgpu::ptx {

// 8-bit floats in pairs. mode: the 8-bit Type; flags 1: relu.
void fp8_from_f32(Exec& x, const Inst& in);    // 16 bits r[0] = {r[2] low, r[1] high}
void fp8_from_f16x2(Exec& x, const Inst& in);  // 16 bits r[0] = r[1]
void f16x2_from_fp8(Exec& x, const Inst& in);  // 32 bits r[0] = r[1]

// vabsdiff2, vabsdiff4 .u32.u32.u32{.add}: size: bytes of a part; flags 1: the sum of the differences plus r[3].
void absolute_differences(Exec& x, const Inst& in);

// cvt.pack.sat: r[0] = r[1] and r[2], saturated to parts of `size` bytes, above r[3] (none: zero). flags 1: the parts are
// signed; 2: the sources are.
void pack_saturated(Exec& x, const Inst& in);

}  // namespace nm::softgpu::ptx
