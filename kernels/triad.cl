// variants: sp
// Triad: a[i] = b[i] + s * c[i], two reads and a write an element.
#include "dialect.h"

KERNEL void triad(GLOBAL const float* RESTRICT b, GLOBAL const float* RESTRICT c, GLOBAL float* RESTRICT a, float s, int n) {
  const int i = GLOBAL_X;
  if (i < n) a[i] = FMA(s, c[i], b[i]);
}
