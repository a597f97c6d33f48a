// Control flow, calls, and what the lanes of a warp do together.
#include "softgpu/ptx/test_device.h"

namespace nm::softgpu::ptx {
namespace {

// A kernel (out) whose `body` computes %d, 32 bits, from %t, the thread's number in the block; stored to out[thread].
std::string kernel(const std::string& body, const std::string& before = "") {
  return ".version 8.5\n.target sm_90\n.address_size 64\n" + before + R"(
.visible .entry k(.param .u64 out) {
  .local .align 8 .b8 buffer[16];
  .reg .b64 %o, %x, %l<8>; .reg .b32 %t, %d, %r<16>; .reg .pred %p, %q; .reg .f32 %f<8>;
  ld.param.u64 %o, [out];
  mov.u32 %t, %tid.x;
  mul.wide.u32 %x, %t, 4;
  add.u64 %o, %o, %x;
)" + body +
         "\n  st.global.u32 [%o], %d;\n  ret;\n}\n";
}

struct Ran {
  std::vector<int32_t> out;
  Outcome outcome;
  std::string printed;
};

Ran run(const std::string& text, uint32_t threads = 32, uint32_t stack = 1024) {
  TestDevice device;
  EXPECT_TRUE(device.load(text)) << device.log;
  int32_t* out = device.zeros<int32_t>(threads);
  device.launch.stack_bytes = stack;
  Outcome outcome = device.run("k", {1}, {threads}, out);
  return {std::vector<int32_t>(out, out + threads), outcome, device.printed};
}

#define EXPECT_EACH(ran, expected)                                                                    \
  do {                                                                                                \
    EXPECT_EQ((ran).outcome.fault, Fault::none) << (ran).outcome.detail;                              \
    for (int i = 0; i < static_cast<int>((ran).out.size()); ++i) {                                    \
      ASSERT_EQ((ran).out[static_cast<size_t>(i)], static_cast<int32_t>(expected)) << "thread " << i; \
    }                                                                                                 \
  } while (false)

TEST(ControlFlow, LanesOfABranchMeetAgain) {
  Ran ran = run(kernel(R"(
  and.b32 %r1, %t, 1;
  setp.eq.u32 %p, %r1, 0;
  @%p bra EVEN;
  mul.lo.u32 %d, %t, 3;
  bra JOIN;
EVEN:
  add.u32 %d, %t, 100;
JOIN:
  activemask.b32 %r2;
  popc.b32 %r2, %r2;
  add.u32 %d, %d, %r2;)"));
  EXPECT_EACH(ran, (i % 2 ? i * 3 : i + 100) + 32);
}

TEST(ControlFlow, LoopsEndForEachLaneByItself) {
  Ran ran = run(kernel(R"(
  mov.u32 %d, 0;
  mov.u32 %r1, 0;
LOOP:
  setp.ge.u32 %p, %r1, %t;
  @%p bra DONE;
  add.u32 %d, %d, %r1;
  add.u32 %r1, %r1, 1;
  bra LOOP;
DONE:)"),
                45);
  EXPECT_EACH(ran, i * (i - 1) / 2);
}

TEST(ControlFlow, LabelsBelongToTheirBlock) {
  Ran ran = run(kernel(R"(
  mov.u32 %d, %t;
  { L: setp.ge.u32 %p, %d, 40; @%p bra D; add.u32 %d, %d, 7; bra L; D: }
  { L: setp.ge.u32 %p, %d, 80; @%p bra D; add.u32 %d, %d, 9; bra L; D: })"));
  EXPECT_EACH(ran, [](int v) {
    while (v < 40) v += 7;
    while (v < 80) v += 9;
    return v;
  }(i));
}

TEST(ControlFlow, BranchTablesDiverge) {
  Ran ran = run(kernel(R"(
  and.b32 %r1, %t, 3;
TABLE: .branchtargets A, B, C, A;
  brx.idx %r1, TABLE;
A: mov.u32 %d, 1; bra END;
B: mov.u32 %d, 2; bra END;
C: mov.u32 %d, 3;
END:)"));
  EXPECT_EACH(ran, (i % 4 == 1 ? 2 : i % 4 == 2 ? 3 : 1));
}

const char* kFib = R"(
.func (.param .b32 r) fib(.param .b32 n) {
  .reg .b32 %n, %a, %b; .reg .pred %p;
  ld.param.b32 %n, [n];
  mov.b32 %b, %n;
  setp.lt.s32 %p, %n, 2;
  @%p bra END;
  sub.s32 %a, %n, 1;
  { .param .b32 p0; .param .b32 r0; st.param.b32 [p0], %a; call (r0), fib, (p0); ld.param.b32 %b, [r0]; }
  sub.s32 %a, %n, 2;
  { .param .b32 p0; .param .b32 r0; st.param.b32 [p0], %a; call (r0), fib, (p0); ld.param.b32 %a, [r0]; }
  add.s32 %b, %a, %b;
END:
  st.param.b32 [r], %b;
  ret;
}
.func (.param .b32 r) twice(.param .b32 n) {
  .reg .b32 %n;
  ld.param.b32 %n, [n];
  shl.b32 %n, %n, 1;
  st.param.b32 [r], %n;
  ret;
}
.global .u64 table[2] = {fib, twice};
)";

TEST(Calls, RecursionDivergesAndReturns) {
  Ran ran = run(kernel(R"(
  rem.u32 %r1, %t, 10;
  { .param .b32 p0; .param .b32 r0; st.param.b32 [p0], %r1; call (r0), fib, (p0); ld.param.b32 %d, [r0]; })",
                       kFib));
  const int fib[10] = {0, 1, 1, 2, 3, 5, 8, 13, 21, 34};
  EXPECT_EACH(ran, fib[i % 10]);
}

const char* kIndirect = R"(
  and.b32 %r1, %t, 1;
  mul.wide.u32 %l1, %r1, 8;
  mov.u64 %l2, table;
  add.u64 %l2, %l2, %l1;
  ld.global.u64 %l3, [%l2];
  { .param .b32 p0; .param .b32 r0;
    st.param.b32 [p0], 7;
    proto: .callprototype (.param .b32 _) _ (.param .b32 _);
    call (r0), %l3, (p0), proto;
    ld.param.b32 %d, [r0]; })";

TEST(Calls, FunctionPointersMayDiffer) {
  Ran ran = run(kernel(kIndirect, kFib));
  EXPECT_EACH(ran, (i % 2 ? 14 : 13));
}

TEST(Calls, APointerToNoFunctionIsAFault) {
  std::string text = kernel(kIndirect, kFib);
  text.replace(text.find("{fib, twice}"), 12, "{fib, 12345}");
  EXPECT_EQ(run(text).outcome.fault, Fault::invalid_pc);
}

TEST(Calls, EndlessRecursionOverflowsTheStack) {
  Ran ran = run(kernel(R"(
  { .param .b32 p0; .param .b32 r0; st.param.b32 [p0], 1; call (r0), loop, (p0); ld.param.b32 %d, [r0]; })",
                       R"(
.func (.param .b32 r) loop(.param .b32 n) {
  .reg .b32 %n;
  ld.param.b32 %n, [n];
  { .param .b32 p0; .param .b32 r0; st.param.b32 [p0], %n; call (r0), loop, (p0); ld.param.b32 %n, [r0]; }
  st.param.b32 [r], %n;
  ret;
})"));
  EXPECT_EQ(ran.outcome.fault, Fault::hardware_stack);
  EXPECT_NE(ran.outcome.detail.find("loop"), std::string::npos);
}

TEST(Calls, PrintfFormatsInDeviceMemory) {
  Ran ran = run(kernel(R"(
  setp.ne.u32 %p, %t, 3;
  mov.u32 %d, 0;
  @%p bra END;
  st.local.u32 [buffer], %t;
  st.local.f64 [buffer+8], 0d3FF8000000000000;
  mov.u64 %l1, buffer;
  cvta.local.u64 %l1, %l1;
  mov.u64 %l2, text;
  cvta.global.u64 %l2, %l2;
  { .param .b64 p0; .param .b64 p1; .param .b32 r0;
    st.param.b64 [p0], %l2; st.param.b64 [p1], %l1;
    call (r0), vprintf, (p0, p1);
    ld.param.b32 %d, [r0]; }
END:)",
                       R"(
.extern .func (.param .b32 r) vprintf(.param .b64 a, .param .b64 b);
.global .align 1 .b8 text[12] = {84, 61, 37, 52, 100, 32, 37, 46, 50, 102, 10, 0};
)"));
  EXPECT_EQ(ran.outcome.fault, Fault::none) << ran.outcome.detail;
  EXPECT_EQ(ran.printed, "T=   3 1.50\n");
  EXPECT_EQ(ran.out[3], 2);
}

TEST(Shuffles, AllFourModes) {
  auto mode = [](const std::string& text) { return run(kernel("  " + text)); };
  EXPECT_EACH(mode("shfl.sync.up.b32 %d, %t, 3, 0, -1;"), (i < 3 ? i : i - 3));
  EXPECT_EACH(mode("shfl.sync.down.b32 %d, %t, 3, 31, -1;"), (i + 3 > 31 ? i : i + 3));
  EXPECT_EACH(mode("shfl.sync.bfly.b32 %d, %t, 5, 31, -1;"), (i ^ 5));
  EXPECT_EACH(mode("shfl.sync.idx.b32 %d, %t, 9, 31, -1;"), 9);
  EXPECT_EACH(mode("shfl.sync.idx.b32 %d, %t, 2, 0x181f, -1;"), (i / 8 * 8 + 2));
  EXPECT_EACH(mode("shfl.sync.down.b32 %d|%p, %t, 1, 0x181f, -1; selp.b32 %d, %d, -1, %p;"), (i % 8 == 7 ? -1 : i + 1));
}

// The lanes of one shuffle stand at two different instructions.
TEST(Shuffles, LanesMayComeFromDifferentPlaces) {
  Ran ran = run(kernel(R"(
  and.b32 %r1, %t, 1;
  setp.eq.u32 %p, %r1, 0;
  @%p bra EVEN;
  shfl.sync.bfly.b32 %d, %t, 1, 31, -1;
  bra END;
EVEN:
  add.u32 %r2, %t, 1000;
  shfl.sync.bfly.b32 %d, %r2, 1, 31, -1;
END:)"));
  EXPECT_EACH(ran, (i % 2 ? i - 1 + 1000 : i + 1));
}

TEST(Votes, CountTheMembersOfTheMask) {
  Ran ran = run(kernel(R"(
  setp.lt.u32 %p, %t, 5;
  vote.sync.ballot.b32 %r1, %p, -1;
  vote.sync.any.pred %q, !%p, -1;
  selp.b32 %d, %r1, 0, %q;
  match.any.sync.b32 %r2, 7, -1;
  popc.b32 %r2, %r2;
  add.u32 %d, %d, %r2;
  redux.sync.add.u32 %r3, %t, -1;
  add.u32 %d, %d, %r3;
  elect.sync %r4|%q, -1;
  @%q add.u32 %d, %d, 1000;)"));
  EXPECT_EACH(ran, 31 + 32 + 496 + (i == 0 ? 1000 : 0));
}

// Tiles of a warp: each lane names the members of its own, and all stand at one instruction.
TEST(Votes, EachTileIsByItself) {
  EXPECT_EACH(run(kernel(R"(
  and.b32 %r1, %t, 16;
  shl.b32 %r2, 0xffff, %r1;
  redux.sync.add.u32 %d, %t, %r2;)")),
              (i < 16 ? 120 : 376));
  EXPECT_EACH(run(kernel(R"(
  and.b32 %r1, %t, 1;
  shl.b32 %r2, 0x55555555, %r1;
  match.any.sync.b32 %r2, 5, %r2;
  mov.u32 %d, %r2;)")),
              (i & 1 ? 0xaaaaaaaa : 0x55555555));
  // One of the groups waits for a lane that comes later.
  EXPECT_EACH(run(kernel(R"(
  mov.u32 %r3, 0;
  setp.eq.u32 %p, %t, 31;
  @%p bra LATE;
MEET:
  and.b32 %r1, %t, 16;
  shl.b32 %r2, 0xffff, %r1;
  redux.sync.add.u32 %d, %t, %r2;
  bra DONE;
LATE:
  add.u32 %r3, %r3, 1;
  setp.lt.u32 %p, %r3, 9;
  @%p bra LATE;
  bra MEET;
DONE:)")),
              (i < 16 ? 120 : 376));
}

TEST(Votes, ExitedLanesAreNotWaitedFor) {
  Ran ran = run(kernel(R"(
  mov.u32 %d, 1;
  st.global.u32 [%o], %d;
  setp.ge.u32 %p, %t, 20;
  @%p exit;
  vote.sync.ballot.b32 %d, 1, -1;)"));
  EXPECT_EACH(ran, (i < 20 ? 0xfffff : 1));
}

// Each lane takes a lock that its neighbours hold: only lanes that get their turn end it.
TEST(Fairness, SpinLocksWithinAWarpEnd) {
  Ran ran = run(kernel(R"(
  mov.u64 %l1, lock;
SPIN:
  atom.global.cas.b32 %r1, [%l1], 0, 1;
  setp.ne.u32 %p, %r1, 0;
  @%p bra SPIN;
  ld.volatile.global.u32 %d, [%l1+4];
  add.u32 %d, %d, 1;
  st.volatile.global.u32 [%l1+4], %d;
  membar.gl;
  atom.global.exch.b32 %r1, [%l1], 0;
  bar.sync 0;
  ld.global.u32 %d, [%l1+4];)",
                       ".global .align 4 .b32 lock[2];\n"),
                96);
  EXPECT_EACH(ran, 96);
}

}  // namespace
}  // namespace nm::softgpu::ptx
