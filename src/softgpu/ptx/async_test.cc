// Asynchronous copies and barriers, matrix products, 8-bit floats: what newer devices add.
#include "softgpu/ptx/test_calc.h"

namespace nm::softgpu::ptx {
namespace {

constexpr const char* kHead = ".version 8.5\n.target sm_90\n.address_size 64\n";

// Two phases: every thread writes, arrives, waits, and reads its neighbour's value.
TEST(AsyncBarriers, PhasesSeparateWritesFromReads) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + R"(
.visible .entry k(.param .u64 out) {
  .shared .align 8 .b64 bar; .shared .align 4 .b32 s[64];
  .reg .b32 %t, %n, %a, %b, %d, %s; .reg .b64 %o, %x, %token; .reg .pred %p;
  mov.u32 %t, %tid.x; mov.u32 %n, %ntid.x;
  setp.ne.u32 %p, %t, 0;
  @!%p mbarrier.init.shared::cta.b64 [bar], %n;
  bar.sync 0;
  mov.u32 %s, s; shl.b32 %a, %t, 2; add.u32 %a, %a, %s;
  st.shared.u32 [%a], %t;
  mbarrier.arrive.shared::cta.b64 %token, [bar];
WAIT1: mbarrier.test_wait.shared::cta.b64 %p, [bar], %token; @!%p bra WAIT1;
  xor.b32 %b, %t, 33; shl.b32 %b, %b, 2; add.u32 %b, %b, %s;
  ld.shared.u32 %d, [%b];
  mbarrier.arrive.release.cta.shared::cta.b64 _, [bar];
WAIT2: mbarrier.try_wait.parity.shared::cta.b64 %p, [bar], 1; @!%p bra WAIT2;
  ld.param.u64 %o, [out]; mul.wide.u32 %x, %t, 4; add.u64 %o, %o, %x;
  st.global.u32 [%o], %d;
  ret;
})")) << device.log;
  uint32_t* out = device.zeros<uint32_t>(64);
  EXPECT_RUNS(device.run("k", {1}, {64}, out));
  for (uint32_t i = 0; i < 64; ++i) ASSERT_EQ(out[i], i ^ 33);
}

TEST(AsyncBarriers, ExpectedBytesHoldTheWaitersBack) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + R"(
.visible .entry k(.param .u64 out) {
  .shared .align 8 .b64 bar; .reg .b64 %o, %t; .reg .pred %p; .reg .b32 %a, %b;
  ld.param.u64 %o, [out];
  mbarrier.init.shared.b64 [bar], 1;
  mbarrier.arrive.expect_tx.shared::cta.b64 %t, [bar], 64;
  mbarrier.test_wait.parity.shared.b64 %p, [bar], 0; selp.b32 %a, 1, 0, %p;
  mbarrier.complete_tx.shared::cta.b64 [bar], 64;
  mbarrier.test_wait.parity.shared.b64 %p, [bar], 0; selp.b32 %b, 1, 0, %p;
  st.global.v2.u32 [%o], {%a, %b};
  mbarrier.arrive.shared.b64 %t, [bar], 2;
  ret;
})")) << device.log;
  uint32_t* out = device.zeros<uint32_t>(2);
  const Outcome outcome = device.run("k", {1}, {1}, out);
  EXPECT_EQ(out[0], 0u);
  EXPECT_EQ(out[1], 1u);
  EXPECT_EQ(outcome.fault, Fault::illegal_instruction) << "two arrivals where one is expected";
}

TEST(AsyncCopies, FillWithZerosAndStayInBounds) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + R"(
.visible .entry k(.param .u64 in, .param .u64 out) {
  .shared .align 16 .b8 s[32]; .reg .b64 %i, %o; .reg .b32 %r<8>;
  ld.param.u64 %i, [in]; ld.param.u64 %o, [out];
  cp.async.cg.shared.global [s], [%i], 16;
  cp.async.ca.shared.global.L2::128B [s+16], [%i+16], 8, 4;
  cp.async.commit_group; cp.async.wait_group 0;
  ld.shared.v4.u32 {%r0, %r1, %r2, %r3}, [s]; ld.shared.v2.u32 {%r4, %r5}, [s+16];
  st.global.v4.u32 [%o], {%r0, %r1, %r2, %r3}; st.global.v2.u32 [%o+16], {%r4, %r5};
  ret;
})")) << device.log;
  uint32_t* in = device.array<uint32_t>({1, 2, 3, 4, 5, 6});
  uint32_t* out = device.array<uint32_t>({9, 9, 9, 9, 9, 9});
  EXPECT_RUNS(device.run("k", {1}, {1}, in, out));
  const uint32_t expected[6] = {1, 2, 3, 4, 5, 0};
  for (int i = 0; i < 6; ++i) EXPECT_EQ(out[i], expected[i]);
  EXPECT_EQ(device.run("k", {1}, {1}, in + 4, out).fault, Fault::illegal_address);
}

// D = A B + C for one 16 x 8 x 8 tile of tf32 and one 16 x 8 x 16 tile of bf16: identity matrices, so D is known.
TEST(Matrices, ProductsOfATile) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + R"(
.visible .entry k(.param .u64 out) {
  .reg .b32 %t, %g, %c, %a<4>, %b<2>, %x; .reg .f32 %d<4>, %z, %f; .reg .b64 %o, %l; .reg .pred %p;
  mov.u32 %t, %tid.x; shr.u32 %g, %t, 2; and.b32 %c, %t, 3;
  // A is ones in its first column, in tf32: element a0 and a1 of the lanes with c = 0.
  setp.eq.u32 %p, %c, 0;
  selp.b32 %a0, 0x3f800000, 0, %p; selp.b32 %a1, 0x40000000, 0, %p; mov.b32 %a2, 0; mov.b32 %a3, 0;
  // B's first row holds the column's number: element b0 of the lanes with c = 0.
  cvt.rn.f32.u32 %f, %g; mov.b32 %x, %f; selp.b32 %b0, %x, 0, %p; mov.b32 %b1, 0;
  mov.f32 %z, 0f41200000;
  mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%d0, %d1, %d2, %d3}, {%a0, %a1, %a2, %a3}, {%b0, %b1}, {%z, %z, %z, %z};
  ld.param.u64 %o, [out]; mul.wide.u32 %l, %t, 16; add.u64 %o, %o, %l;
  st.global.v4.f32 [%o], {%d0, %d1, %d2, %d3};
  ret;
})")) << device.log;
  float* out = device.zeros<float>(128);
  EXPECT_RUNS(device.run("k", {1}, {32}, out));
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      const float column = static_cast<float>(lane % 4 * 2 + (i & 1));
      ASSERT_EQ(out[lane * 4 + i], 10 + column * (i < 2 ? 1 : 2)) << lane << " " << i;
    }
  }
}

TEST(SmallFloats, RoundSaturateAndComeBack) {
  EXPECT_EQ((calc<uint16_t, float>("cvt.rn.satfinite.e4m3x2.f32 %d, %a, %b;", 1.0f, -1000.0f)), 0x38fe);
  EXPECT_EQ((calc<uint16_t, float>("cvt.rn.satfinite.e5m2x2.f32 %d, %a, %b;", 1.0f, 0x1p-16f)), 0x3c01);
  EXPECT_EQ((calc<uint16_t, float>("cvt.rn.satfinite.e4m3x2.f32 %d, %a, %b;", 0x1p-10f, 0x1.9p-10f)), 0x0001);
  EXPECT_EQ((calc<uint32_t, uint16_t>("cvt.rn.f16x2.e4m3x2 %d, %a;", 0x387e)), 0x3c005f00u);
  EXPECT_EQ((calc<uint32_t, uint16_t>("cvt.rn.f16x2.e5m2x2 %d, %a;", 0x3cfc)), 0x3c00fc00u);
}

TEST(SmallOps, DifferencesOfBytes) {
  EXPECT_EQ((calc<uint32_t, uint32_t>("vabsdiff4.u32.u32.u32 %d, %a, %b, %c;", 0x10ff8001, 0x20018001, 0)),
            0x10fe0000u);
  EXPECT_EQ((calc<uint32_t, uint32_t>("vabsdiff4.u32.u32.u32.add %d, %a, %b, %c;", 0x10ff8001, 0x20018001, 5)),
            0x10e + 5u);
}

TEST(SmallOps, PackingSaturates) {
  EXPECT_EQ((calc<uint32_t, uint32_t>("cvt.pack.sat.s8.s32.b32 %d, %a, %b, %c;", 300, -5, 0xabcd)), 0xabcd7ffbu);
  EXPECT_EQ((calc<uint32_t, uint32_t>("cvt.pack.sat.u8.s32.b32 %d, %a, %b, %c;", 300, -5, 1)), 0x1ff00u);
  EXPECT_EQ((calc<uint32_t, uint32_t>("cvt.pack.sat.u16.s32 %d, %a, %b;", 70000, 7)), 0xffff0007u);
}

// clang reads members of a struct argument by way of its address.
TEST(Calls, AddressesOfStructArguments) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + R"(
.func (.param .b32 r) pick(.param .align 4 .b8 s[16], .param .b32 i) {
  .reg .b64 %a, %x; .reg .b32 %i, %v, %w;
  mov.b64 %a, s; ld.param.b32 %i, [i]; mul.wide.u32 %x, %i, 4; add.u64 %a, %a, %x;
  ld.param.b32 %v, [%a]; ld.u32 %w, [%a]; add.u32 %v, %v, %w; st.param.b32 [r], %v; ret;
}
.visible .entry k(.param .u64 out) {
  .reg .b32 %t, %v; .reg .b64 %o, %x;
  mov.u32 %t, %tid.x; and.b32 %v, %t, 3;
  { .param .align 4 .b8 p0[16]; .param .b32 p1; .param .b32 r0;
    st.param.v2.b32 [p0], {%t, 5}; st.param.v2.b32 [p0+8], {6, 7}; st.param.b32 [p1], %v;
    call (r0), pick, (p0, p1); ld.param.b32 %v, [r0]; }
  ld.param.u64 %o, [out]; mul.wide.u32 %x, %t, 4; add.u64 %o, %o, %x; st.global.u32 [%o], %v; ret;
})")) << device.log;
  uint32_t* out = device.zeros<uint32_t>(32);
  EXPECT_RUNS(device.run("k", {1}, {32}, out));
  for (uint32_t i = 0; i < 32; ++i) ASSERT_EQ(out[i], 2 * (i % 4 == 0 ? i : 4 + i % 4));
}

}  // namespace
}  // namespace nm::softgpu::ptx
