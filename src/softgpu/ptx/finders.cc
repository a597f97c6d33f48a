// Picks the variant of the vector handlers for this processor; directed rounding around them.
#include <xmmintrin.h>

#include "softgpu/ptx/exec.h"
#include "softgpu/ptx/ops.h"

namespace nm::softgpu::ptx {

#define DECLARE(ISA)                                          \
  namespace ISA {                                             \
  Handler find_integer(Op op, Type type);                     \
  Handler find_real(Op op, Type type, uint32_t flags);        \
  Handler find_half(Op op, Type type, uint32_t flags);        \
  Handler find_compare(Compare compare, Type type, bool ftz); \
  Handler find_convert(const ConvertPlan& plan);              \
  Handler find_load(Type type, uint32_t register_bytes);      \
  Handler find_store(Type type, uint32_t register_bytes);     \
  }
DECLARE(sse2)
DECLARE(avx2)
#undef DECLARE

namespace {
#define TABLE(ISA)                                                                                           \
  {                                                                                                          \
    ISA::find_integer, ISA::find_real, ISA::find_half, ISA::find_compare, ISA::find_convert, ISA::find_load, \
        ISA::find_store                                                                                      \
  }
constexpr Finders kPlain = TABLE(sse2);
constexpr Finders kVector = TABLE(avx2);
#undef TABLE
}  // namespace

const Finders& finders() {
  static const bool modern = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return modern ? kVector : kPlain;
}

void rounded(Exec& x, const Inst& in) {
  const unsigned saved = _mm_getcsr();
  _mm_setcsr((saved & ~0x6000u) | static_cast<unsigned>(in.mode) << 13);
  in.inner(x, in);  // reads its operands from memory and writes them back: nothing can move across
  _mm_setcsr(saved);
}

}  // namespace nm::softgpu::ptx
