// variants: f32
// Reads of a texture at places that jump about as SHOC's do. In a source of its own: a device without textures may
// refuse to load it.
#include "dialect.h"

#ifdef __OPENCL_VERSION__
#define TEXTURE_2D __read_only image2d_t
__constant sampler_t nearest = CLK_NORMALIZED_COORDS_FALSE | CLK_ADDRESS_CLAMP_TO_EDGE | CLK_FILTER_NEAREST;
#define FETCH(texture, x, y) read_imagef(texture, nearest, (int2)(x, y))
#else
#define TEXTURE_2D ulong
NM_INLINE float4 nm_fetch(ulong texture, int x, int y) {
  float a, b, c, d;
  // Not volatile: what is not used need not be fetched, as in a compiler's own fetches.
  asm("tex.2d.v4.f32.s32 {%0, %1, %2, %3}, [%4, {%5, %6}];"
      : "=f"(a), "=f"(b), "=f"(c), "=f"(d)
      : "l"(texture), "r"(x), "r"(y));
  return float4{a, b, c, d};
}
#define FETCH(texture, x, y) nm_fetch(texture, x, y)
#endif

// Blocks of 16 x 8 threads over the whole texture, whose sides are powers of two.
#define FETCH_KERNEL(name, value)                                                                            \
  KERNEL void name(TEXTURE_2D texture, GLOBAL float* RESTRICT out, int fetches, int width, int height) {     \
    int x = GLOBAL_X, y = GLOBAL_Y;                                                                          \
    const int place = y * width + x;                                                                         \
    float sum = 0.0f;                                                                                        \
    for (int i = 0; i < fetches; ++i) {                                                                      \
      const float4 v = FETCH(texture, x, y);                                                                 \
      x = (x * 3 + 29) & (width - 1);                                                                        \
      y = (y * 5 + 11) & (height - 1);                                                                       \
      sum += value;                                                                                          \
    }                                                                                                        \
    out[place] = sum;                                                                                        \
  }

FETCH_KERNEL(fetch_one, v.x)
FETCH_KERNEL(fetch_all, (v.x + v.y) + (v.z + v.w))
