// variants: plain
// Kernels that do next to nothing, to time what is around them, and one that holds a stream until it is let go.
#include "dialect.h"

// `by` is 0 where a launch is timed, 1 where launches are counted.
KERNEL void count_1(GLOBAL int* counter, int by) {
  if (by) counter[0] += by;
}
// The same under other names: SHOC's QueueDelay takes turns between kernels. Each has one argument there.
KERNEL void one(GLOBAL int* counter) {
  if (GLOBAL_X == 0) counter[0] += 1;
}
KERNEL void two(GLOBAL int* counter) {
  if (GLOBAL_X == 0) counter[1] += 1;
}
KERNEL void three(GLOBAL int* counter) {
  if (GLOBAL_X == 0) counter[2] += 1;
}
KERNEL void four(GLOBAL int* counter) {
  if (GLOBAL_X == 0) counter[3] += 1;
}

KERNEL void store(GLOBAL int* out, int value) { out[0] = value; }

#ifndef __OPENCL_VERSION__
// Ends when another stream has set state[0], or after `limit_ns`; then state[1] is 1.
KERNEL void hold(int* state, ulong limit_ns) {
  ulong begin, now;
  int released = 0;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(begin));
  do {
    asm volatile("ld.volatile.s32 %0, [%1];" : "=r"(released) : "l"(state) : "memory");
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  } while (!released && now - begin < limit_ns);
  if (!released) state[1] = 1;
}
#endif
