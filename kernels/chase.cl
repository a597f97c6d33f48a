// variants: plain
// PointerChase: one thread goes from node to node, each load's address being the last one's value.
#include "dialect.h"

// Puts the order of a walk into memory: node i, at i * spacing words, holds where its successor is.
KERNEL void lay_out(GLOBAL const uint* RESTRICT next, GLOBAL uint* RESTRICT nodes, uint n, uint spacing) {
  const uint stride = BLOCKS_X * THREADS_X;
  for (uint i = GLOBAL_X; i < n; i += stride) nodes[(ulong)i * spacing] = next[i] * spacing;
}

KERNEL void chase(GLOBAL const uint* RESTRICT nodes, GLOBAL uint* RESTRICT out, uint from, int steps) {
  uint at = from;
  for (int i = 0; i < steps; ++i) at = nodes[at];
  out[0] = at;
}
