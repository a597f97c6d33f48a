// atom and red. Operands: result r[0] (or none), address r[4], operands r[1], r[2].
#pragma once

#include "softgpu/ptx/code.h"

namespace nm::softgpu::ptx {

enum class Atomic : uint8_t { add, min, max, inc, dec, and_, or_, xor_, exch, cas };

// Null: no such combination.
Handler find_atomic(Atomic op, Type type);

}  // namespace nm::softgpu::ptx
