// What programs_test.cc runs, as compilers make it: wide_sm80.ptx is clang 14's, wide_sm90.ptx nvcc 13's. Self-contained,
// so that nothing of a toolkit's headers ends up in the texts. After a change, in this directory, where both compilers are:
//
//   clang-14 -x cuda --cuda-gpu-arch=sm_80 --cuda-device-only -nocudainc -nocudalib -O2 -S wide.cu -o - |
//     sed -E '/^[[:space:]]*\/\//d; s#[[:space:]]*//.*##' > wide_sm80.ptx
//   nvcc -arch=sm_90 -ptx wide.cu -o - | sed -E '/^[[:space:]]*\/\//d; s#[[:space:]]*//.*##' > wide_sm90.ptx
#ifdef __clang__
#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#define __constant__ __attribute__((constant))
#define __noinline__ __attribute__((noinline))
#define TX static_cast<int>(__nvvm_read_ptx_sreg_tid_x())
#define TY static_cast<int>(__nvvm_read_ptx_sreg_tid_y())
#define BX static_cast<int>(__nvvm_read_ptx_sreg_ctaid_x())
#define BY static_cast<int>(__nvvm_read_ptx_sreg_ctaid_y())
#define NX static_cast<int>(__nvvm_read_ptx_sreg_ntid_x())
#define GX static_cast<int>(__nvvm_read_ptx_sreg_nctaid_x())
#define SYNC __syncthreads()
#else
#define TX static_cast<int>(threadIdx.x)
#define TY static_cast<int>(threadIdx.y)
#define BX static_cast<int>(blockIdx.x)
#define BY static_cast<int>(blockIdx.y)
#define NX static_cast<int>(blockDim.x)
#define GX static_cast<int>(gridDim.x)
#define SYNC __syncthreads()
#endif
#define KERNEL extern "C" __global__ void
#define INLINE static inline __device__

typedef unsigned u32;
typedef unsigned long long u64;

// ---- instructions that programs reach through a toolkit's headers ----
INLINE u32 shuffle_xor(u32 members, u32 v, u32 with) {
  u32 d;
  asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 0x1f, %3;" : "=r"(d) : "r"(v), "r"(with), "r"(members));
  return d;
}
INLINE u32 shuffle_from(u32 members, u32 v, u32 lane) {
  u32 d;
  asm volatile("shfl.sync.idx.b32 %0, %1, %2, 0x1f, %3;" : "=r"(d) : "r"(v), "r"(lane), "r"(members));
  return d;
}
INLINE float sum_of_warp(float v) {
  for (u32 o = 16; o > 0; o /= 2) {
    u32 bits, d;
    asm("mov.b32 %0, %1;" : "=r"(bits) : "f"(v));
    d = shuffle_xor(~0u, bits, o);
    float other;
    asm("mov.b32 %0, %1;" : "=f"(other) : "r"(d));
    v += other;
  }
  return v;
}
INLINE u32 ballot(u32 members, bool p) {
  u32 d;
  asm volatile("{ .reg .pred q; setp.ne.u32 q, %1, 0; vote.sync.ballot.b32 %0, q, %2; }"
               : "=r"(d) : "r"(static_cast<u32>(p)), "r"(members));
  return d;
}
INLINE u32 match_any(u32 members, u32 v) {
  u32 d;
  asm volatile("match.any.sync.b32 %0, %1, %2;" : "=r"(d) : "r"(v), "r"(members));
  return d;
}
INLINE u32 sum_of_members(u32 members, u32 v) {
  u32 d;
  asm volatile("redux.sync.add.u32 %0, %1, %2;" : "=r"(d) : "r"(v), "r"(members));
  return d;
}
INLINE void meet(u32 members) { asm volatile("bar.warp.sync %0;" : : "r"(members) : "memory"); }
INLINE u32 ones(u32 v) {
  u32 d;
  asm("popc.b32 %0, %1;" : "=r"(d) : "r"(v));
  return d;
}
INLINE u32 add_atomic(u32* p, u32 v) {
  u32 d;
  asm volatile("atom.add.u32 %0, [%1], %2;" : "=r"(d) : "l"(p), "r"(v) : "memory");
  return d;
}
INLINE void add_atomic(float* p, float v) { asm volatile("red.add.f32 [%0], %1;" : : "l"(p), "f"(v) : "memory"); }
INLINE u32 swap_atomic(u32* p, u32 expected, u32 v) {
  u32 d;
  asm volatile("atom.cas.b32 %0, [%1], %2, %3;" : "=r"(d) : "l"(p), "r"(expected), "r"(v) : "memory");
  return d;
}
INLINE unsigned short swap_atomic(unsigned short* p, unsigned short expected, unsigned short v) {
  unsigned short d;
  asm volatile("atom.cas.b16 %0, [%1], %2, %3;" : "=h"(d) : "l"(p), "h"(expected), "h"(v) : "memory");
  return d;
}
INLINE u32 fma_halves(u32 a, u32 b, u32 c) {
  u32 d;
  asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
}
INLINE float inverse_root(float v) {
  float d;
  asm("rsqrt.approx.f32 %0, %1;" : "=f"(d) : "f"(v));
  return d;
}
INLINE float sine(float v) {
  float d;
  asm("sin.approx.f32 %0, %1;" : "=f"(d) : "f"(v));
  return d;
}
INLINE float cosine(float v) {
  float d;
  asm("cos.approx.f32 %0, %1;" : "=f"(d) : "f"(v));
  return d;
}

// ---- programs ----
KERNEL reduce(const float* in, float* out, int n) {
  __shared__ float part[32];
  float v = 0;
  for (int i = BX * NX + TX; i < n; i += GX * NX) v += in[i];
  v = sum_of_warp(v);
  if (TX % 32 == 0) part[TX / 32] = v;
  SYNC;
  if (TX < 32) {
    v = sum_of_warp(TX < NX / 32 ? part[TX] : 0);
    if (TX == 0) add_atomic(out, v);
  }
}

KERNEL scan(const int* in, int* out) {
  __shared__ int t[2][256];
  int now = 0;
  t[0][TX] = in[TX];
  SYNC;
  for (int d = 1; d < NX; d *= 2) {
    t[1 - now][TX] = t[now][TX] + (TX >= d ? t[now][TX - d] : 0);
    now = 1 - now;
    SYNC;
  }
  out[TX] = t[now][TX];
}

KERNEL transpose(const double* in, double* out, int width, int height) {
  __shared__ double t[16][17];
  int x = BX * 16 + TX, y = BY * 16 + TY;
  if (x < width && y < height) t[TY][TX] = in[y * width + x];
  SYNC;
  x = BY * 16 + TX;
  y = BX * 16 + TY;
  if (x < height && y < width) out[y * height + x] = t[TX][TY];
}

template <class T>
INLINE void product(const T* a, const T* b, T* c, int n, T (&ta)[16][16], T (&tb)[16][16]) {
  const int column = BX * 16 + TX, row = BY * 16 + TY;
  T sum = 0;
  for (int k = 0; k < n; k += 16) {
    ta[TY][TX] = a[row * n + k + TX];
    tb[TY][TX] = b[(k + TY) * n + column];
    SYNC;
#pragma unroll
    for (int i = 0; i < 16; ++i) sum += ta[TY][i] * tb[i][TX];
    SYNC;
  }
  c[row * n + column] = sum;
}
KERNEL product_f32(const float* a, const float* b, float* c, int n) {
  __shared__ float ta[16][16], tb[16][16];
  product(a, b, c, n, ta, tb);
}
KERNEL product_f64(const double* a, const double* b, double* c, int n) {
  __shared__ double ta[16][16], tb[16][16];
  product(a, b, c, n, ta, tb);
}
// y = a x + y in pairs of halves.
KERNEL axpy_halves(const u32* x, u32* y, u32 a, int n) {
  const int i = BX * NX + TX;
  if (i < n) y[i] = fma_halves(a, x[i], y[i]);
}

struct Body {
  float x, y, z, mass;
};
KERNEL attraction(const Body* all, Body* out, int n) {
  __shared__ Body tile[64];
  const Body me = all[BX * NX + TX];
  Body sum = {0, 0, 0, me.mass};
  for (int t = 0; t < n; t += 64) {
    tile[TX] = all[t + TX];
    SYNC;
    for (int j = 0; j < 64; ++j) {
      const Body o = tile[j];
      const float dx = o.x - me.x, dy = o.y - me.y, dz = o.z - me.z;
      const float inverse = inverse_root(dx * dx + dy * dy + dz * dz + 0.01f), s = o.mass * inverse * inverse * inverse;
      sum.x += dx * s;
      sum.y += dy * s;
      sum.z += dz * s;
    }
    SYNC;
  }
  out[BX * NX + TX] = sum;
}

struct Complex {
  float re, im;
};
// 256 points, 128 threads.
KERNEL fourier(Complex* data) {
  __shared__ Complex s[256];
  u32 low, high;
  asm("brev.b32 %0, %1;" : "=r"(low) : "r"(TX));
  asm("brev.b32 %0, %1;" : "=r"(high) : "r"(TX + 128));
  s[low >> 24] = data[TX];
  s[high >> 24] = data[TX + 128];
  SYNC;
  for (int step = 1; step <= 8; ++step) {
    const int m = 1 << step, k = TX & (m / 2 - 1), at = (TX >> (step - 1)) * m + k;
    const float angle = -6.2831853f * k / m, c = cosine(angle), sn = sine(angle);
    const Complex u = s[at], v = s[at + m / 2], w = {v.re * c - v.im * sn, v.re * sn + v.im * c};
    s[at] = {u.re + w.re, u.im + w.im};
    s[at + m / 2] = {u.re - w.re, u.im - w.im};
    SYNC;
  }
  data[TX] = s[TX];
  data[TX + 128] = s[TX + 128];
}

// A stable pass over four bits: one warp, n a multiple of 32.
KERNEL sort_pass(const u32* in, u32* out, int n, int shift) {
  __shared__ u32 base[16];
  if (TX < 16) base[TX] = 0;
  meet(~0u);
  for (int i = TX; i < n; i += 32) add_atomic(&base[in[i] >> shift & 15], 1);
  meet(~0u);
  if (TX == 0) {
    u32 sum = 0;
    for (int d = 0; d < 16; ++d) {
      const u32 count = base[d];
      base[d] = sum;
      sum += count;
    }
  }
  meet(~0u);
  for (int i = TX; i < n; i += 32) {
    const u32 v = in[i], digit = v >> shift & 15, peers = match_any(~0u, digit);
    const u32 rank = ones(peers & ((1u << TX) - 1)), leader = ones((peers & -peers) - 1);
    u32 at = 0;
    if (rank == 0) at = add_atomic(&base[digit], ones(peers));
    at = shuffle_from(peers, at, leader);  // each group by itself
    out[at + rank] = v;
    meet(~0u);
  }
}

KERNEL histogram(const unsigned char* in, u32* out, int n) {
  __shared__ u32 h[256];
  for (int i = TX; i < 256; i += NX) h[i] = 0;
  SYNC;
  for (int i = BX * NX + TX; i < n; i += GX * NX) add_atomic(&h[in[i]], 1);
  SYNC;
  for (int i = TX; i < 256; i += NX) add_atomic(&out[i], h[i]);
}

KERNEL breadth_first(const int* row, const int* column, u32* level, int n, u32 depth) {
  const int v = BX * NX + TX;
  if (v >= n || level[v] != depth) return;
  for (int e = row[v]; e < row[v + 1]; ++e) swap_atomic(&level[column[e]], ~0u, depth + 1);
}

KERNEL sparse_product(const int* row, const int* column, const float* value, const float* x, float* y, int n) {
  const int warp = (BX * NX + TX) / 32, lane = TX % 32;
  if (warp >= n) return;
  float sum = 0;
  for (int e = row[warp] + lane; e < row[warp + 1]; e += 32) sum += value[e] * x[column[e]];
  sum = sum_of_warp(sum);
  if (lane == 0) y[warp] = sum;
}

struct Vector {
  float x, y, z;
};
KERNEL lennard_jones(const Vector* p, Vector* force, float* energy, int n, float box) {
  const int i = BX * NX + TX;
  if (i >= n) return;
  Vector sum = {0, 0, 0};
  float e = 0;
  for (int j = 0; j < n; ++j) {
    if (j == i) continue;
    float d[3] = {p[i].x - p[j].x, p[i].y - p[j].y, p[i].z - p[j].z}, r2 = 0;
    for (int k = 0; k < 3; ++k) {
      d[k] -= box * static_cast<float>(static_cast<int>(d[k] / box + (d[k] < 0 ? -0.5f : 0.5f)));
      r2 += d[k] * d[k];
    }
    if (r2 > 6.25f) continue;
    const float i2 = 1.f / r2, i6 = i2 * i2 * i2, c = 24.f * i6 * (2.f * i6 - 1.f) * i2;
    sum.x += c * d[0];
    sum.y += c * d[1];
    sum.z += c * d[2];
    e += 2.f * i6 * (i6 - 1.f);
  }
  force[i] = sum;
  add_atomic(energy, e);
}

struct Record {
  char name[29];
  short tag;
  double weight[3];
};
KERNEL by_value(Record r, Record* out, int place) {
  r.name[place] = 'Z';
  r.weight[1] += TX;
  out[TX] = r;
}

__device__ __noinline__ int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }
__device__ __noinline__ int add(int a, int b) { return a + b; }
__device__ __noinline__ int multiply(int a, int b) { return a * b; }
__device__ __noinline__ int power(int a, int b) {
  int p = 1;
  while (b-- > 0) p = multiply(p, a);
  return p;
}
typedef int (*Operation)(int, int);
__device__ Operation operations[3] = {add, multiply, power};
KERNEL calls(int* out) {
  const int i = TX;
  out[i] = operations[i % 3](i, 3) + 1000000 * fibonacci(i % 11);
}

KERNEL branches(const int* in, int* out) {
  const int v = in[TX];
  int r;
  switch (v) {
    case 0: r = 5; break;
    case 1: r = TX * 7; break;
    case 2: r = v << TX % 8; break;
    case 3: r = fibonacci(TX % 7); break;
    case 4: r = 1000 / (TX + 1); break;
    case 5: r = TX % 3 == 0 ? -1 : 1; break;
    case 6: r = v ^ TX; break;
    default: r = 99;
  }
  out[TX] = r;
}

KERNEL tiles(u32* out) {
  const u32 mine = 0xffu << (TX & 24);
  out[TX * 4] = sum_of_members(mine, TX);
  out[TX * 4 + 1] = ballot(mine, TX % 3 == 0);
  out[TX * 4 + 2] = shuffle_xor(mine, TX, 5);
  // And where each group comes here by a way of its own.
  u32 v;
  if (TX % 2 == 0) {
    v = sum_of_members(0x55555555, 1);
  } else {
    v = sum_of_members(0xaaaaaaaa, 2);
  }
  out[TX * 4 + 3] = v;
}

KERNEL arithmetic(const long long* in, long long* out) {
  const long long a = in[TX], b = in[TX + 1] | 1;
  long long* o = out + TX * 8;
  o[0] = a / b;
  o[1] = a % b;
  o[2] = static_cast<long long>(static_cast<u64>(a) / static_cast<u64>(b));
  o[3] = static_cast<int>(a) / static_cast<int>(b);
  o[4] = static_cast<long long>(static_cast<__int128>(a) * b >> 64);
  int dot, byte;
  asm("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(dot) : "r"(static_cast<int>(a)), "r"(static_cast<int>(b)), "r"(7));
  asm("{ .reg .b16 h; cvt.rni.sat.s8.f32 h, %1; cvt.s32.s16 %0, h; }" : "=r"(byte) : "f"(static_cast<float>(a) * 1e-17f));
  o[5] = dot;
  o[6] = byte;
  o[7] = static_cast<long long>(static_cast<double>(static_cast<int>(a)) * 0.5);
}

KERNEL small_counter(unsigned short* p) {
  unsigned short seen = *p, before;
  do {
    before = seen;
    seen = swap_atomic(p, before, static_cast<unsigned short>(before + 3));
  } while (seen != before);
}

KERNEL shuffled_array(const int* in, int* out, int n) {
  int a[32];
  for (int i = 0; i < 32; ++i) a[i] = in[i] * TX;
  for (int i = 0; i < n; ++i) {
    const int j = (i * 7 + TX) % 32, t = a[i % 32];
    a[i % 32] = a[j];
    a[j] = t + 1;
  }
  int sum = 0;
  for (int i = 0; i < 32; ++i) sum = sum * 31 + a[i];
  out[TX] = sum;
}
