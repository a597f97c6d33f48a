// Matrix instructions against plain loops: small whole numbers, so that every type holds them exactly.
#include <cmath>
#include <ostream>

#include "softgpu/ptx/test_device.h"

namespace nm::softgpu::ptx {
namespace {

constexpr const char* kHead = ".version 8.5\n.target sm_90\n.address_size 64\n";

std::string list(const std::string& name, int count) {
  std::string text = "{";
  for (int i = 0; i < count; ++i) text += (i ? ", %" : "%") + name + std::to_string(i);
  return text + "}";
}

// `rows` by `columns` whole numbers, different ones, from -3 to 4.
std::vector<int> numbers(int rows, int columns, int seed) {
  std::vector<int> values(static_cast<size_t>(rows * columns));
  uint32_t state = static_cast<uint32_t>(seed);
  for (int& v : values) {
    state = state * 1664525 + 1013904223;
    v = static_cast<int>(state >> 29) - 3;
  }
  return values;
}

uint16_t half_of(int v) {  // f16 of a small whole number
  if (v == 0) return 0;
  const int magnitude = v < 0 ? -v : v, exponent = static_cast<int>(std::log2(magnitude));
  return static_cast<uint16_t>((v < 0 ? 0x8000 : 0) | (exponent + 15) << 10 | (magnitude << (10 - exponent) & 0x3ff));
}

// Elements in memory as the type has them.
std::vector<uint8_t> packed(const std::vector<int>& values, const std::string& type) {
  std::vector<uint8_t> bytes;
  auto add = [&](auto v) {
    const auto* p = reinterpret_cast<const uint8_t*>(&v);
    bytes.insert(bytes.end(), p, p + sizeof v);
  };
  for (const int v : values) {
    if (type == "f64") add(static_cast<double>(v));
    if (type == "f32" || type == "tf32") add(static_cast<float>(v));
    if (type == "s32") add(v);
    if (type == "s8") add(static_cast<int8_t>(v));
    if (type == "u8") add(static_cast<uint8_t>(v));
    if (type == "f16") add(half_of(v));
    if (type == "bf16") add(static_cast<uint16_t>(__builtin_bit_cast(uint32_t, static_cast<float>(v)) >> 16));
  }
  return bytes;
}

struct Case {
  int m, n, k;
  std::string type, sum;
  int a, b, c;  // registers
  bool a_by_columns, b_by_columns, c_by_columns;
};

void PrintTo(const Case& p, std::ostream* out) {
  *out << "m" << p.m << "n" << p.n << "k" << p.k << "_" << p.type << "_" << p.sum << (p.a_by_columns ? "_col" : "_row")
       << (p.b_by_columns ? "_col" : "_row") << (p.c_by_columns ? "_col" : "_row");
}

class Tiles : public ::testing::TestWithParam<Case> {};

TEST_P(Tiles, MultiplyAsLoopsDo) {
  const Case& p = GetParam();
  const std::string shape = "m" + std::to_string(p.m) + "n" + std::to_string(p.n) + "k" + std::to_string(p.k);
  const std::string wide = p.type == "f64" ? "b64" : "b32";
  auto layout = [](bool columns) { return std::string(columns ? ".col." : ".row."); };
  const std::string types = p.type == "f16" ? p.sum + "." + p.sum : p.sum + "." + p.type + "." + p.type + "." + p.sum;
  // Between the rows of A, or its columns, there is room where the type is f16.
  const int a_stride = (p.a_by_columns ? p.m : p.k) + (p.type == "f16" ? 8 : 0);
  TestDevice device;
  ASSERT_TRUE(device.load(
      std::string(kHead) + ".visible .entry k(.param .u64 a, .param .u64 b, .param .u64 c) {\n .reg ." + wide + " %a<" +
      std::to_string(p.a) + ">, %b<" + std::to_string(p.b) + ">, %c<" + std::to_string(p.c) + ">, %d<" +
      std::to_string(p.c) +
      ">;\n .reg .b64 %pa, %pb, %pc;\n .reg .b32 %s;\n"
      " ld.param.u64 %pa, [a]; ld.param.u64 %pb, [b]; ld.param.u64 %pc, [c];\n mov.u32 %s, " +
      std::to_string(a_stride) + ";\n wmma.load.a.sync.aligned" + layout(p.a_by_columns) + shape + ".global." + p.type +
      " " + list("a", p.a) + ", [%pa], %s;\n wmma.load.b.sync.aligned" + layout(p.b_by_columns) + shape + "." + p.type +
      " " + list("b", p.b) + ", [%pb];\n wmma.load.c.sync.aligned" + layout(p.c_by_columns) + shape + ".global." +
      p.sum + " " + list("c", p.c) + ", [%pc];\n wmma.mma.sync.aligned" + layout(p.a_by_columns) +
      layout(p.b_by_columns).substr(1) + shape + "." + types + " " + list("d", p.c) + ", " + list("a", p.a) + ", " +
      list("b", p.b) + ", " + list("c", p.c) + ";\n wmma.store.d.sync.aligned" + layout(p.c_by_columns) + shape +
      ".global." + p.sum + " [%pc], " + list("d", p.c) + ";\n ret;\n}\n"))
      << device.log;
  const auto a = numbers(p.m, p.k, 1), b = numbers(p.k, p.n, 2), c = numbers(p.m, p.n, 3);
  auto laid_out = [](const std::vector<int>& values, int rows, int columns, bool by_columns, int stride) {
    std::vector<int> out(static_cast<size_t>((by_columns ? columns : rows) * stride));
    for (int r = 0; r < rows; ++r) {
      for (int i = 0; i < columns; ++i)
        out[static_cast<size_t>(by_columns ? i * stride + r : r * stride + i)] =
            values[static_cast<size_t>(r * columns + i)];
    }
    return out;
  };
  auto abs_if_unsigned = [&](std::vector<int> v) {
    if (p.type == "u8") {
      for (int& x : v) x = x < 0 ? 256 + x : x;
    }
    return v;
  };
  const auto ua = abs_if_unsigned(a), ub = abs_if_unsigned(b);
  std::vector<int> d(c);
  for (int r = 0; r < p.m; ++r) {
    for (int i = 0; i < p.n; ++i) {
      for (int j = 0; j < p.k; ++j)
        d[static_cast<size_t>(r * p.n + i)] +=
            ua[static_cast<size_t>(r * p.k + j)] * ub[static_cast<size_t>(j * p.n + i)];
    }
  }
  const int sum_stride = p.c_by_columns ? p.m : p.n;
  uint8_t* pa = device.array(packed(laid_out(a, p.m, p.k, p.a_by_columns, a_stride), p.type));
  uint8_t* pb = device.array(packed(laid_out(b, p.k, p.n, p.b_by_columns, p.b_by_columns ? p.k : p.n), p.type));
  uint8_t* pc = device.array(packed(laid_out(c, p.m, p.n, p.c_by_columns, sum_stride), p.sum));
  const auto expected = packed(laid_out(d, p.m, p.n, p.c_by_columns, sum_stride), p.sum);
  EXPECT_RUNS(device.run("k", {1}, {32}, pa, pb, pc));
  EXPECT_EQ(0, std::memcmp(pc, expected.data(), expected.size()));
}

INSTANTIATE_TEST_SUITE_P(Shapes, Tiles,
                         ::testing::Values(Case{16, 16, 16, "f16", "f32", 8, 8, 8, false, true, false},
                                           Case{16, 16, 16, "f16", "f16", 8, 8, 4, true, false, true},
                                           Case{32, 8, 16, "f16", "f32", 8, 8, 8, true, true, false},
                                           Case{8, 32, 16, "bf16", "f32", 2, 8, 8, false, false, true},
                                           Case{32, 8, 16, "bf16", "f32", 8, 2, 8, true, false, false},
                                           Case{16, 16, 16, "s8", "s32", 2, 2, 8, false, true, false},
                                           Case{8, 32, 16, "u8", "s32", 1, 4, 8, false, false, false},
                                           Case{16, 16, 8, "tf32", "f32", 4, 4, 8, false, true, true},
                                           Case{8, 8, 4, "f64", "f64", 1, 1, 2, false, true, false}));

TEST(Matrices, ATileBeyondItsMemoryIsAFault) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + R"(
.visible .entry k(.param .u64 a) {
  .reg .b32 %c<8>; .reg .b64 %p;
  ld.param.u64 %p, [a];
  wmma.load.c.sync.aligned.row.m16n16k16.global.f32 {%c0, %c1, %c2, %c3, %c4, %c5, %c6, %c7}, [%p];
  ret;
})")) << device.log;
  float* a = device.zeros<float>(255);
  EXPECT_EQ(device.run("k", {1}, {32}, a).fault, Fault::illegal_address);
}

TEST(Matrices, ProductsOfDoublesAndBytes) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + R"(
.visible .entry k(.param .u64 out, .param .u64 ints) {
  .reg .b32 %t, %r, %c, %m<4>, %n<2>, %s<4>, %z; .reg .f64 %a, %b, %d<2>, %zero; .reg .b64 %o, %l;
  mov.u32 %t, %tid.x; shr.u32 %r, %t, 2; and.b32 %c, %t, 3;
  // A[row][k] = 10 row + k, B[k][column] = k - column
  mad.lo.u32 %m0, %r, 10, %c; cvt.rn.f64.u32 %a, %m0;
  sub.s32 %m0, %c, %r; cvt.rn.f64.s32 %b, %m0;
  mov.f64 %zero, 0d3FF0000000000000;
  mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%d0, %d1}, {%a}, {%b}, {%zero, %zero};
  ld.param.u64 %o, [out]; mul.wide.u32 %l, %t, 16; add.u64 %o, %o, %l;
  st.global.v2.f64 [%o], {%d0, %d1};
  // A is -1 everywhere, B the column's number.
  mov.b32 %m0, 0xffffffff; mul.lo.u32 %n0, %r, 0x01010101; mov.b32 %z, 5;
  mma.sync.aligned.m16n8k32.row.col.s32.s8.u8.s32 {%s0, %s1, %s2, %s3}, {%m0, %m0, %m0, %m0}, {%n0, %n0}, {%z, %z, %z, %z};
  ld.param.u64 %o, [ints]; add.u64 %o, %o, %l;
  st.global.v4.u32 [%o], {%s0, %s1, %s2, %s3};
  ret;
})")) << device.log;
  double* out = device.zeros<double>(64);
  int* ints = device.zeros<int>(128);
  EXPECT_RUNS(device.run("k", {1}, {32}, out, ints));
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4, column = lane % 4 * 2 + (i & 1);
      double sum = 1;
      for (int k = 0; k < 4; ++k) sum += (10 * row + k) * (k - column);
      if (i < 2) {
        ASSERT_EQ(out[lane * 2 + i], sum) << lane;
      }
      ASSERT_EQ(ints[lane * 4 + i], 5 - 32 * column) << lane;
    }
  }
}

// Out with stmatrix, transposed on the way, and the same with movmatrix.
TEST(Matrices, StoreAndTranspose) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + R"(
.visible .entry k(.param .u64 out) {
  .shared .align 16 .b8 s[256]; .reg .b32 %t, %a, %b, %d, %w, %p, %q; .reg .b64 %o, %l;
  mov.u32 %t, %tid.x; shl.b32 %a, %t, 1; add.u32 %b, %a, 1; shl.b32 %b, %b, 16; or.b32 %a, %a, %b;  // 2t, 2t + 1
  mov.u32 %p, s; and.b32 %q, %t, 15; shl.b32 %q, %q, 4; add.u32 %p, %p, %q;
  add.u32 %b, %a, 0x00400040;
  stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%p], {%a, %b};
  bar.sync 0;
  movmatrix.sync.aligned.m8n8.trans.b16 %d, %a;
  mov.u32 %p, s; shl.b32 %q, %t, 2; add.u32 %p, %p, %q; ld.shared.u32 %w, [%p]; ld.shared.u32 %q, [%p+128];
  ld.param.u64 %o, [out]; mul.wide.u32 %l, %t, 16; add.u64 %o, %o, %l;
  st.global.v4.u32 [%o], {%w, %q, %d, %a};
  ret;
})")) << device.log;
  uint32_t* out = device.zeros<uint32_t>(128);
  EXPECT_RUNS(device.run("k", {1}, {32}, out));
  for (uint32_t lane = 0; lane < 32; ++lane) {
    // Lane holds row lane / 4, columns 2 (lane % 4) and the next; element (r, c) of the source is 8 r + c.
    const uint32_t row = lane / 4, column = lane % 4 * 2;
    const uint32_t transposed = (8 * column + row) | (8 * (column + 1) + row) << 16;
    ASSERT_EQ(out[lane * 4], transposed) << lane;
    ASSERT_EQ(out[lane * 4 + 1], transposed + 0x00400040) << lane;
    ASSERT_EQ(out[lane * 4 + 2], transposed) << lane;
  }
}

TEST(AsyncCopies, BulkInAndOut) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + R"(
.visible .entry k(.param .u64 in, .param .u64 out, .param .u32 bytes) {
  .shared .align 128 .b8 s[256]; .shared .align 8 .b64 bar;
  .reg .b64 %i, %o; .reg .b32 %t, %n, %a, %v; .reg .pred %p, %q;
  ld.param.u64 %i, [in]; ld.param.u64 %o, [out]; ld.param.u32 %n, [bytes];
  mov.u32 %t, %tid.x; setp.eq.u32 %p, %t, 0;
  @%p mbarrier.init.shared::cta.b64 [bar], 1;
  @%p mbarrier.arrive.expect_tx.shared::cta.b64 _, [bar], %n;
  @%p cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [s], [%i], %n, [bar];
  bar.sync 0;
WAIT: mbarrier.try_wait.parity.shared::cta.b64 %q, [bar], 0; @!%q bra WAIT;
  mov.u32 %a, s; shl.b32 %v, %t, 2; add.u32 %a, %a, %v; ld.shared.u32 %v, [%a]; add.u32 %v, %v, 1; st.shared.u32 [%a], %v;
  fence.proxy.async; bar.sync 0;
  @%p cp.async.bulk.global.shared::cta.bulk_group [%o], [s], 256;
  @%p cp.async.bulk.commit_group;
  @%p cp.async.bulk.wait_group.read 0;
  ret;
})")) << device.log;
  std::vector<uint32_t> values(64);
  for (uint32_t i = 0; i < 64; ++i) values[i] = i * 3;
  uint32_t *in = device.array(values), *out = device.zeros<uint32_t>(64);
  EXPECT_RUNS(device.run("k", {1}, {64}, in, out, 256u));
  for (uint32_t i = 0; i < 64; ++i) ASSERT_EQ(out[i], i * 3 + 1);
  EXPECT_EQ(device.run("k", {1}, {64}, in + 4, out, 256u).fault, Fault::illegal_address)
      << "past the end of the source";
  EXPECT_EQ(device.run("k", {1}, {64}, in + 1, out, 16u).fault, Fault::misaligned_address);
}

// From a block's shared memory to the next one's of its cluster, whose barrier hears of it.
TEST(AsyncCopies, BulkBetweenTheBlocksOfACluster) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + R"(
.visible .entry k(.param .u64 out) .reqnctapercluster 2, 1, 1 {
  .shared .align 128 .b8 s[128]; .shared .align 128 .b8 r[128]; .shared .align 8 .b64 bar;
  .reg .b64 %o, %l; .reg .b32 %t, %c, %a, %v, %b, %next; .reg .pred %p, %q;
  mov.u32 %t, %tid.x; mov.u32 %c, %cluster_ctarank; setp.eq.u32 %p, %t, 0; xor.b32 %next, %c, 1;
  mov.u32 %a, s; shl.b32 %v, %t, 2; add.u32 %a, %a, %v; mad.lo.u32 %v, %c, 1000, %t; st.shared.u32 [%a], %v;
  @%p mbarrier.init.shared::cta.b64 [bar], 1;
  @%p mbarrier.arrive.expect_tx.shared::cta.b64 _, [bar], 128;
  barrier.cluster.arrive; barrier.cluster.wait;
  mov.u32 %a, r; mapa.shared::cluster.u32 %a, %a, %next; mov.u32 %b, bar; mapa.shared::cluster.u32 %b, %b, %next;
  @%p cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%a], [s], 128, [%b];
WAIT: mbarrier.try_wait.parity.shared::cta.b64 %q, [bar], 0; @!%q bra WAIT;
  mov.u32 %a, r; shl.b32 %v, %t, 2; add.u32 %a, %a, %v; ld.shared.u32 %v, [%a];
  ld.param.u64 %o, [out]; mad.lo.u32 %t, %c, 32, %t; mul.wide.u32 %l, %t, 4; add.u64 %o, %o, %l; st.global.u32 [%o], %v;
  barrier.cluster.arrive; barrier.cluster.wait;
  ret;
})")) << device.log;
  uint32_t* out = device.zeros<uint32_t>(64);
  EXPECT_RUNS(device.run("k", {2}, {32}, out));
  for (uint32_t i = 0; i < 64; ++i) ASSERT_EQ(out[i], i < 32 ? 1000 + i : i - 32);
}

}  // namespace
}  // namespace nm::softgpu::ptx
