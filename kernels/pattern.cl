// variants: u32
// Fills memory with a pattern (pattern.h), and counts the words that differ from it.
#include "dialect.h"
#include "pattern.h"

KERNEL void fill_pattern(GLOBAL uint* out, uint n, uint salt) {
  const uint stride = BLOCKS_X * THREADS_X;
  for (uint i = GLOBAL_X; i < n; i += stride) out[i] = pattern_word(i, salt);
}

KERNEL void count_wrong(GLOBAL const uint* in, GLOBAL int* wrong, uint n, uint salt) {
  const uint stride = BLOCKS_X * THREADS_X;
  int found = 0;
  for (uint i = GLOBAL_X; i < n; i += stride) found += in[i] != pattern_word(i, salt);
  if (found) ATOMIC_ADD_INT(wrong, found);
}
