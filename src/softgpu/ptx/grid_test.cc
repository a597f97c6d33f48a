// Blocks and grids: shared memory, barriers, atomics, clusters, cooperative launches, faults.
#include <thread>

#include "softgpu/ptx/test_device.h"

namespace nm::softgpu::ptx {
namespace {

constexpr const char* kHead = ".version 8.5\n.target sm_90\n.address_size 64\n";

TEST(Grid, SaxpyOverPartlyFilledBlocks) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + R"(
.visible .entry saxpy(.param .u32 n, .param .f32 a, .param .u64 px, .param .u64 py) {
  .reg .pred %p; .reg .b32 %r<5>; .reg .f32 %f<4>; .reg .b64 %rd<6>;
  ld.param.u32 %r1, [n];
  mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mov.u32 %r4, %tid.x;
  mad.lo.s32 %r4, %r2, %r3, %r4;
  setp.ge.s32 %p, %r4, %r1;
  @%p ret;
  ld.param.f32 %f1, [a];
  ld.param.u64 %rd1, [px]; ld.param.u64 %rd2, [py];
  cvta.to.global.u64 %rd1, %rd1;
  mul.wide.s32 %rd3, %r4, 4;
  add.s64 %rd4, %rd1, %rd3; add.s64 %rd5, %rd2, %rd3;
  ld.global.nc.f32 %f2, [%rd4]; ld.global.f32 %f3, [%rd5];
  fma.rn.f32 %f3, %f1, %f2, %f3;
  st.global.f32 [%rd5], %f3;
  ret;
})")) << device.log;
  std::vector<float> x(1000), y(1000);
  for (int i = 0; i < 1000; ++i) x[i] = float(i), y[i] = float(2 * i);
  float *dx = device.array(x), *dy = device.array(y);
  EXPECT_RUNS(device.run("saxpy", {8}, {144}, 1000, 3.0f, dx, dy));
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(dy[i], 5.0f * i);
  // One element too few: the last lane's access is found.
  const Outcome outcome = device.run("saxpy", {8}, {144}, 1001, 3.0f, dx, dy);
  EXPECT_EQ(outcome.fault, Fault::illegal_address);
  EXPECT_NE(outcome.detail.find("block (6,0,0), thread (136,0,0)"), std::string::npos) << outcome.detail;
}

// The block's sum by halving, in dynamic shared memory behind a static variable.
TEST(Grid, SharedMemoryAndBarriers) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + R"(
.extern .shared .align 16 .b8 dyn[];
.visible .entry sum(.param .u64 out) {
  .shared .align 4 .b32 pad[5];
  .reg .pred %p; .reg .b32 %t, %n, %a, %b, %s, %u; .reg .b64 %o, %x;
  mov.u32 %t, %tid.x; mov.u32 %n, %ntid.x;
  mov.u32 %s, dyn;
  shl.b32 %a, %t, 2; add.u32 %s, %s, %a;
  st.shared.u32 [%s], %t;
  st.shared.u32 [pad+4], 7;
  shr.u32 %n, %n, 1;
LOOP:
  bar.sync 0;
  setp.ge.u32 %p, %t, %n;
  @%p bra SKIP;
  shl.b32 %a, %n, 2; add.u32 %a, %a, %s;
  ld.shared.u32 %b, [%a]; ld.shared.u32 %a, [%s];
  add.u32 %a, %a, %b; st.shared.u32 [%s], %a;
SKIP:
  shr.u32 %n, %n, 1;
  setp.ne.u32 %p, %n, 0;
  @%p bra LOOP;
  setp.ne.u32 %p, %t, 0;
  @%p ret;
  ld.param.u64 %o, [out];
  ld.shared.u32 %a, [dyn]; ld.shared.u32 %b, [pad+4]; add.u32 %a, %a, %b;
  red.global.add.u32 [%o], %a;
  ret;
})")) << device.log;
  EXPECT_EQ(device.module->find("sum")->info().static_shared, 20u);
  uint32_t* out = device.zeros<uint32_t>(1);
  device.launch.dynamic_shared = 256 * 4;
  EXPECT_RUNS(device.run("sum", {50}, {256}, out));
  EXPECT_EQ(*out, 50u * (255 * 256 / 2 + 7));
  device.launch.dynamic_shared = 255 * 4;
  EXPECT_EQ(device.run("sum", {1}, {256}, out).fault, Fault::illegal_address);
}

TEST(Grid, BarrierReductionsAndCountedBarriers) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + R"(
.visible .entry k(.param .u64 out) {
  .reg .pred %p, %q; .reg .b32 %t, %d; .reg .b64 %o, %x;
  ld.param.u64 %o, [out]; mov.u32 %t, %tid.x; mul.wide.u32 %x, %t, 4; add.u64 %o, %o, %x;
  setp.lt.u32 %p, %t, 10;
  bar.red.popc.u32 %d, 0, %p;
  bar.red.and.pred %q, 1, 100, %p;
  @%q add.u32 %d, %d, 1000;
  bar.red.or.pred %q, 2, !%p;
  @%q add.u32 %d, %d, 2000;
  setp.ge.u32 %p, %t, 64;
  @%p bra REST;
  barrier.sync 3, 64;
  add.u32 %d, %d, 4000;
REST:
  st.global.u32 [%o], %d;
  ret;
})")) << device.log;
  uint32_t* out = device.zeros<uint32_t>(100);
  EXPECT_RUNS(device.run("k", {1}, {100}, out));
  for (uint32_t i = 0; i < 100; ++i) ASSERT_EQ(out[i], 10 + 2000 + (i < 64 ? 4000u : 0u)) << i;
}

TEST(Grid, ABarrierThatCannotCompleteIsAFaultNotAHang) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + ".visible .entry k() { barrier.sync 1, 128; ret; }")) << device.log;
  const Outcome outcome = device.run("k", {1}, {64});
  EXPECT_EQ(outcome.fault, Fault::launch_failure);
  EXPECT_NE(outcome.detail.find("wait"), std::string::npos);
}

TEST(Grid, AtomicsOfEveryKindAddUp) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + R"(
.visible .entry k(.param .u64 out) {
  .reg .b32 %t, %r; .reg .b64 %o, %l, %m; .reg .f32 %f; .reg .f64 %d; .reg .b16 %h; .reg .b128 %v, %w;
  ld.param.u64 %o, [out]; mov.u32 %t, %tid.x; cvt.u64.u32 %l, %t;
  red.global.add.u32 [%o], %t;
  atom.global.max.s32 %r, [%o+4], %t;
  atom.global.inc.u32 %r, [%o+8], 6;
  atom.global.or.b32 %r, [%o+12], %t;
  red.global.add.u64 [%o+16], %l;
  red.global.add.f32 [%o+24], 0f3F000000;
  red.global.add.f64 [%o+32], 0d3FD0000000000000;
  red.global.add.noftz.f16x2 [%o+40], 0x3c004000;
  atom.global.cas.b64 %m, [%o+48], 0, %o;
  mov.b16 %h, 5;
  atom.global.cas.b16 %h, [%o+58], 0, %h;
  atom.global.dec.u32 %r, [%o+60], 3;
  atom.global.add.noftz.bf16x2 %r, [%o+64], 0x3f803f80;
  mov.b128 %w, {%o, %l}; mov.b64 %m, 0; mov.b128 %v, {%m, %m};
  atom.global.cas.b128 %v, [%o+80], %v, %w;
  ret;
})")) << device.log;
  uint8_t* out = device.zeros<uint8_t>(128);
  EXPECT_RUNS(device.run("k", {4}, {64}, out));
  EXPECT_EQ(*reinterpret_cast<uint32_t*>(out), 4u * 2016);
  EXPECT_EQ(*reinterpret_cast<int32_t*>(out + 4), 63);
  EXPECT_EQ(*reinterpret_cast<uint32_t*>(out + 8), 256u % 7);
  EXPECT_EQ(*reinterpret_cast<uint32_t*>(out + 12), 63u);
  EXPECT_EQ(*reinterpret_cast<uint64_t*>(out + 16), 4u * 2016);
  EXPECT_EQ(*reinterpret_cast<float*>(out + 24), 128.0f);
  EXPECT_EQ(*reinterpret_cast<double*>(out + 32), 64.0);
  EXPECT_EQ(*reinterpret_cast<uint32_t*>(out + 40), 0x5c006000u);
  EXPECT_EQ(*reinterpret_cast<uint64_t*>(out + 48), reinterpret_cast<uint64_t>(out));
  EXPECT_EQ(*reinterpret_cast<uint16_t*>(out + 58), 5);
  EXPECT_EQ(*reinterpret_cast<uint32_t*>(out + 60), 0u);
  EXPECT_EQ(*reinterpret_cast<uint32_t*>(out + 64), 0x43804380u);
  EXPECT_EQ(*reinterpret_cast<uint64_t*>(out + 80), reinterpret_cast<uint64_t>(out));
}

constexpr const char* kGridBarrier = R"(
.visible .entry k(.param .u64 count, .param .u64 out) {
  .reg .pred %p; .reg .b32 %r, %n; .reg .b64 %c, %o;
  ld.param.u64 %c, [count]; ld.param.u64 %o, [out];
  mov.u32 %n, %nctaid.x;
  atom.global.add.release.gpu.u32 %r, [%c], 1;
SPIN:
  ld.acquire.gpu.global.u32 %r, [%c];
  setp.lt.u32 %p, %r, %n;
  @%p bra SPIN;
  red.global.add.u32 [%o], 1;
  ret;
})";

TEST(Grid, CooperativeBlocksAllMakeProgress) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + kGridBarrier)) << device.log;
  uint32_t *count = device.zeros<uint32_t>(1), *out = device.zeros<uint32_t>(1);
  device.launch.cooperative = true;
  EXPECT_RUNS(device.run("k", {200}, {1}, count, out));
  EXPECT_EQ(*out, 200u);
}

TEST(Grid, BlocksThatWaitForLaterOnesGetThem) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + kGridBarrier)) << device.log;
  device.threads = 1;
  uint32_t *count = device.zeros<uint32_t>(1), *out = device.zeros<uint32_t>(1);
  EXPECT_RUNS(device.run("k", {16}, {1}, count, out));
  EXPECT_EQ(*out, 16u);
}

TEST(Grid, ALaunchCanBeCancelled) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + ".visible .entry k() { L: bra L; }")) << device.log;
  std::atomic<bool> cancel{false};
  Launch launch;
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    cancel = true;
  });
  EXPECT_EQ(run(*device.module->find("k"), launch, device.memory, {}, 2, &cancel).fault, Fault::cancelled);
  later.join();
}

TEST(Grid, ClustersReachEachOthersSharedMemory) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + R"(
.visible .entry k(.param .u64 out) .reqnctapercluster 4, 1, 1 {
  .shared .align 4 .b32 mine;
  .reg .b32 %rank, %n, %a, %b, %x; .reg .b64 %o, %l;
  mov.u32 %rank, %cluster_ctarank; mov.u32 %n, %cluster_nctarank; mov.u32 %x, %ctaid.x;
  add.u32 %a, %x, 100;
  st.shared.u32 [mine], %a;
  barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;
  add.u32 %rank, %rank, 1; rem.u32 %rank, %rank, %n;
  mov.u32 %a, mine;
  mapa.shared::cluster.u32 %b, %a, %rank;
  ld.shared::cluster.u32 %b, [%b];
  ld.param.u64 %o, [out]; mul.wide.u32 %l, %x, 4; add.u64 %o, %o, %l;
  st.global.u32 [%o], %b;
  barrier.cluster.arrive; barrier.cluster.wait;
  ret;
})")) << device.log;
  uint32_t* out = device.zeros<uint32_t>(8);
  EXPECT_RUNS(device.run("k", {8}, {1}, out));
  for (uint32_t i = 0; i < 8; ++i) EXPECT_EQ(out[i], 100 + i / 4 * 4 + (i + 1) % 4);
  EXPECT_EQ(device.run("k", {6}, {1}, out).fault, Fault::bad_launch);
}

TEST(Grid, FaultsNameTheirCause) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + R"(
.visible .entry store(.param .u64 p) { .reg .b64 %a; ld.param.u64 %a, [p]; st.global.u32 [%a], 1; ret; }
.visible .entry wide(.param .u64 p) { .reg .b64 %a; .reg .b32 %r<4>; ld.param.u64 %a, [p]; ld.global.v4.u32 {%r0, %r1, %r2, %r3}, [%a]; ret; }
.visible .entry trap() { trap; }
.visible .entry shared() { .shared .b32 s[4]; .reg .b32 %a; mov.u32 %a, s; ld.shared.u32 %a, [%a+16]; ret; }
.visible .entry local() { .local .b32 s[4]; .reg .b64 %a; .reg .b32 %r; mov.u64 %a, s; ld.local.u32 %r, [%a+-4]; ret; }
)")) << device.log;
  uint32_t* data = device.zeros<uint32_t>(4);
  const uint64_t at = reinterpret_cast<uint64_t>(data);
  EXPECT_EQ(device.run("store", {1}, {1}, at).fault, Fault::none);
  EXPECT_EQ(device.run("store", {1}, {1}, at + 16).fault, Fault::illegal_address);
  EXPECT_EQ(device.run("store", {1}, {1}, at + 2).fault, Fault::misaligned_address);
  EXPECT_EQ(device.run("store", {1}, {1}, uint64_t{0}).fault, Fault::illegal_address);
  EXPECT_EQ(device.run("store", {1}, {1}, ~uint64_t{3}).fault, Fault::illegal_address);
  EXPECT_EQ(device.run("wide", {1}, {1}, at).fault, Fault::none);
  EXPECT_EQ(device.run("wide", {1}, {1}, at + 4).fault, Fault::misaligned_address);
  EXPECT_EQ(device.run("wide", {1}, {1}, at + 16).fault, Fault::illegal_address);
  EXPECT_EQ(device.run("trap", {1}, {1}).fault, Fault::launch_failure);
  EXPECT_EQ(device.run("shared", {1}, {1}).fault, Fault::illegal_address);
  EXPECT_EQ(device.run("local", {1}, {1}).fault, Fault::illegal_address);
  EXPECT_NE(device.run("trap", {1}, {1}).detail.find("line 7"), std::string::npos);
}

TEST(Grid, GenericAddressesFindTheirSpace) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + R"(
.global .align 8 .b64 pointer = generic(value);
.global .align 4 .b32 value = 11;
.const .align 4 .f32 constants[3] = {0f3F800000, 2.0, 3};
.visible .entry k(.param .u64 out, .param .align 8 .b8 struct[24]) {
  .shared .align 4 .b32 s; .local .align 4 .b32 l[2];
  .reg .b64 %a, %o; .reg .b32 %r, %d; .reg .f32 %f; .reg .pred %p;
  ld.param.u64 %o, [out];
  st.shared.u32 [s], 5; mov.u64 %a, s; cvta.shared.u64 %a, %a; ld.u32 %d, [%a];
  isspacep.shared %p, %a; @%p add.u32 %d, %d, 100;
  st.local.u32 [l+4], 7; mov.u64 %a, l; cvta.local.u64 %a, %a; ld.u32 %r, [%a+4]; add.u32 %d, %d, %r;
  isspacep.local %p, %a; @%p add.u32 %d, %d, 1000;
  ld.global.u64 %a, [pointer]; ld.u32 %r, [%a]; add.u32 %d, %d, %r;
  isspacep.global %p, %a; @%p add.u32 %d, %d, 10000;
  ld.const.f32 %f, [constants+8]; cvt.rzi.u32.f32 %r, %f; add.u32 %d, %d, %r;
  mov.b64 %a, struct; cvta.param.u64 %a, %a; ld.u32 %r, [%a+20]; add.u32 %d, %d, %r;
  ld.param.u32 %r, [struct+20]; add.u32 %d, %d, %r;
  st.global.u32 [%o], %d;
  ret;
})")) << device.log;
  struct Struct {
    uint32_t v[6];
  } s{{0, 0, 0, 0, 0, 50}};
  uint32_t* out = device.zeros<uint32_t>(1);
  EXPECT_RUNS(device.run("k", {1}, {1}, out, s));
  EXPECT_EQ(*out, 5u + 100 + 7 + 1000 + 11 + 10000 + 3 + 50 + 50);
}

TEST(Grid, LaunchesThatDoNotFitAreRefused) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + ".visible .entry k() .maxntid 64, 1, 1 { ret; }")) << device.log;
  EXPECT_EQ(device.run("k", {1}, {65}).fault, Fault::bad_launch);
  EXPECT_EQ(device.run("k", {0}, {1}).fault, Fault::bad_launch);
  EXPECT_EQ(device.run("k", {1}, {64}).fault, Fault::none);
}

TEST(DeviceHeap, GivesAndTakesBack) {
  TestMemory memory;
  DeviceHeap heap(memory, 1024);
  const uint64_t a = heap.allocate(500), b = heap.allocate(500);
  EXPECT_NE(a, 0u);
  EXPECT_NE(b, 0u);
  EXPECT_EQ(heap.allocate(100), 0u);
  EXPECT_TRUE(heap.release(a));
  EXPECT_FALSE(heap.release(a));
  EXPECT_TRUE(heap.release(b));
  EXPECT_NE(heap.allocate(1024), 0u);
}

}  // namespace
}  // namespace nm::softgpu::ptx
