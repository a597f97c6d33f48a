// variants: sp dp
// MaxFlops: chains of dependent arithmetic in registers, 1 to 8 of them a thread. The operands are arguments, and no
// chain can be shortened without changing its bits, which the host compares with its own.
#include "dialect.h"

#ifdef __OPENCL_VERSION__
#pragma OPENCL FP_CONTRACT OFF
#endif

// Steps a turn of the loop, over all chains; level_0's max_flops.cc counts on it.
#define STEPS 240

#define ADD(s) s = v1 - s;
#define MUL(s) s = (s * v1) * v2;
#define MADD(s) s = FMA(s, v2, v1);
#define MULMADD(s) s = FMA(s, v2, v1) * s;

#define CHAINS_1(OP) OP(s0)
#define CHAINS_2(OP) CHAINS_1(OP) OP(s1)
#define CHAINS_4(OP) CHAINS_2(OP) OP(s2) OP(s3)
#define CHAINS_8(OP) CHAINS_4(OP) OP(s4) OP(s5) OP(s6) OP(s7)
#define SUM_1 s0
#define SUM_2 (s0 + s1)
#define SUM_4 ((s0 + s1) + (s2 + s3))
#define SUM_8 (((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7)))

#define CHAIN_KERNEL(name, OP, chains)                                                                             \
  KERNEL void name(GLOBAL const REAL* RESTRICT in, GLOBAL REAL* RESTRICT out, int turns, REAL v1, REAL v2) {       \
    const int i = GLOBAL_X;                                                                                        \
    REAL s0 = in[i], s1 = s0 * 0.9375f, s2 = s0 * 0.875f, s3 = s0 * 0.8125f;                                       \
    REAL s4 = s0 * 0.75f, s5 = s0 * 0.6875f, s6 = s0 * 0.625f, s7 = s0 * 0.5625f;                                  \
    (void)s1, (void)s2, (void)s3, (void)s4, (void)s5, (void)s6, (void)s7, (void)v2;                                    \
    for (int turn = 0; turn < turns; ++turn) {                                                                     \
      _Pragma("unroll") for (int step = 0; step < STEPS / chains; ++step) { CHAINS_##chains(OP) }                  \
    }                                                                                                              \
    out[i] = SUM_##chains;                                                                                         \
  }

CHAIN_KERNEL(add1, ADD, 1)
CHAIN_KERNEL(add2, ADD, 2)
CHAIN_KERNEL(add4, ADD, 4)
CHAIN_KERNEL(add8, ADD, 8)
CHAIN_KERNEL(mul1, MUL, 1)
CHAIN_KERNEL(mul2, MUL, 2)
CHAIN_KERNEL(mul4, MUL, 4)
CHAIN_KERNEL(mul8, MUL, 8)
CHAIN_KERNEL(madd1, MADD, 1)
CHAIN_KERNEL(madd2, MADD, 2)
CHAIN_KERNEL(madd4, MADD, 4)
CHAIN_KERNEL(madd8, MADD, 8)
CHAIN_KERNEL(mulmadd1, MULMADD, 1)
CHAIN_KERNEL(mulmadd2, MULMADD, 2)
CHAIN_KERNEL(mulmadd4, MULMADD, 4)
CHAIN_KERNEL(mulmadd8, MULMADD, 8)
