// mov between a register and the parts of it: r[0] the whole, r[1..4] the parts, `size` bytes each, `count` of them.
#pragma once

#include "softgpu/ptx/code.h"

namespace nm::softgpu::ptx {

void pack_vector(Exec& x, const Inst& in);
void unpack_vector(Exec& x, const Inst& in);

}  // namespace nm::softgpu::ptx
