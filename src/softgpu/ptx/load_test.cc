// What the loader refuses and how it says so; and that no text, however broken, brings it down.
#include <chrono>
#include <random>
#include <thread>

#include "softgpu/ptx/test_device.h"

namespace nm::softgpu::ptx {
namespace {

constexpr const char* kHead = ".version 8.5\n.target sm_90\n.address_size 64\n";

std::string log_of(const std::string& text) {
  TestDevice device;
  EXPECT_FALSE(device.load(text)) << text;
  EXPECT_EQ(device.memory.pieces(), 0u) << "a refused module keeps no memory";
  return device.log;
}
std::string body(const std::string& text) {
  return std::string(kHead) +
         ".visible .entry k(.param .u64 p) {\n.reg .b32 %r<9>; .reg .b64 %l<9>; .reg .f32 %f<9>; .reg .pred %p<9>;\n" +
         text + "\n}\n";
}

TEST(Load, NamesTheLineOfASyntaxError) {
  EXPECT_NE(log_of("hello").find("line 1"), std::string::npos);
  EXPECT_NE(log_of("").find(".version"), std::string::npos);
  EXPECT_NE(log_of(body("add.u32 %r1 %r2;")).find("line 6: expected ',' or ';'"), std::string::npos);
  EXPECT_NE(log_of(std::string(kHead) + ".visible .entry k() {").find("expected '}'"), std::string::npos);
  EXPECT_NE(log_of(body("bra NOWHERE;")).find("unknown label NOWHERE"), std::string::npos);
}

TEST(Load, NamesTheInstructionThatIsNotSupported) {
  const std::string log = log_of(body("wgmma.fence.sync.aligned;\ntex.2d.v4.f32.f32 {%f1, %f2, %f3, %f4}, [%l1, {%f1, %f2}];"));
  EXPECT_NE(log.find("line 6: wgmma.fence.sync.aligned: this instruction is not supported"), std::string::npos) << log;
  EXPECT_NE(log.find("line 7: tex.2d"), std::string::npos) << log;
  EXPECT_NE(log_of(body("add.rn.bogus.f32 %f1, %f2, %f3;")).find(".bogus"), std::string::npos);
  EXPECT_NE(log_of(body("add.u64 %l1, %l2, %r1;")).find("%r1 is 32 bits wide, 64 are wanted"), std::string::npos);
  EXPECT_NE(log_of(body("call missing;")).find("unknown function missing"), std::string::npos);
  EXPECT_NE(log_of(body("mov.u32 %r1, %bogus;")).find("%bogus"), std::string::npos);
  EXPECT_NE(log_of(body("st.param.u32 [p], %r1;")).find("read-only"), std::string::npos);
  EXPECT_NE(log_of(body("ld.param.v2.u64 {%l1, %l2}, [p];")).find("outside parameter"), std::string::npos);
}

TEST(Load, ExternalFunctionsHaveToBeKnown) {
  const std::string text =
      std::string(kHead) + ".extern .func frobnicate;\n.visible .entry k() { call frobnicate; ret; }\n";
  EXPECT_NE(log_of(text).find("frobnicate is not defined"), std::string::npos);
}

TEST(Load, LinksSeveralTexts) {
  TestDevice device;
  const std::string one =
      std::string(kHead) + ".extern .func (.param .b32 r) f(.param .b32 a);\n.extern .global .b32 g;\n" + R"(
.visible .entry k(.param .u64 out) { .reg .b64 %o; .reg .b32 %r, %q;
  ld.param.u64 %o, [out]; ld.global.u32 %q, [g];
  { .param .b32 p0; .param .b32 r0; st.param.b32 [p0], %q; call (r0), f, (p0); ld.param.b32 %r, [r0]; }
  st.global.u32 [%o], %r; ret; })";
  const std::string two = std::string(kHead) + ".visible .global .b32 g = 20;\n" + R"(
.visible .func (.param .b32 r) f(.param .b32 a) { .reg .b32 %r; ld.param.b32 %r, [a]; add.u32 %r, %r, 1; st.param.b32 [r], %r; ret; })";
  const std::string_view texts[] = {one, two};
  auto module = Module::load(texts, device.memory, device.log);
  ASSERT_TRUE(module) << device.log;
  device.module = std::move(*module);
  uint32_t* out = device.zeros<uint32_t>(1);
  EXPECT_RUNS(device.run("k", {1}, {1}, out));
  EXPECT_EQ(*out, 21u);
}

TEST(Load, DescribesKernelsAndVariables) {
  TestDevice device;
  ASSERT_TRUE(device.load(std::string(kHead) + R"(
.visible .const .align 4 .b32 c[3] = {1, 2};
.visible .global .attribute(.managed) .align 8 .f64 g = 0d4000000000000000;
.visible .entry k(.param .u32 a, .param .u64 b, .param .align 16 .b8 s[20], .param .u8 z) .maxntid 128, 2 .minnctapersm 3 {
  .shared .align 8 .b8 buffer[100];
  .local .align 4 .b8 stack[36];
  ret;
})")) << device.log;
  const KernelInfo& info = device.module->find("k")->info();
  ASSERT_EQ(info.params.size(), 4u);
  EXPECT_EQ(info.params[1].offset, 8u);
  EXPECT_EQ(info.params[2].offset, 16u);
  EXPECT_EQ(info.params[3].offset, 36u);
  EXPECT_EQ(info.param_bytes, 37u);
  EXPECT_EQ(info.max_threads, 256u);
  EXPECT_EQ(info.min_blocks_per_sm, 3u);
  EXPECT_EQ(info.static_shared, 100u);
  EXPECT_EQ(info.local_bytes, 48u);
  EXPECT_EQ(info.const_bytes, 12u);
  EXPECT_EQ(info.target_sm, 90u);
  ASSERT_EQ(device.module->variables().size(), 2u);
  const Variable& c = device.module->variables()[0];
  EXPECT_EQ(c.name, "c");
  EXPECT_TRUE(c.is_const);
  EXPECT_EQ(c.size, 12u);
  EXPECT_EQ(reinterpret_cast<const uint32_t*>(c.address)[1], 2u);
  EXPECT_TRUE(device.module->variables()[1].is_managed);
}

TEST(Load, ExcessiveSizesAreRefused) {
  log_of(std::string(kHead) + ".global .b8 huge[99999999999999999999];");
  log_of(std::string(kHead) + ".global .b64 huge[4294967296][4294967296];");
  log_of(std::string(kHead) + ".global .b8 big[8589934592];");  // more than the test's memory
  log_of(std::string(kHead) + ".global .b32 x = " + std::string(100000, '(') + "1;");
  log_of(body(std::string(100000, '{')));
  log_of(body("mov.u32 %r1, " + std::string(100000, '-') + "1;"));
  log_of(body(".local .b8 huge[1000000000]; ret;"));
  log_of(body("mov.b32 {" + std::string(100000, '{') + "%r1;"));
}

// Every kernel here runs on random bytes too, until a watchdog stops it: bounds checks have to hold.
constexpr const char* kSeeds[] = {
    R"(.version 8.5
.target sm_90
.address_size 64
.extern .func (.param .b32 r) vprintf(.param .b64 a, .param .b64 b);
.global .align 4 .b32 table[4] = {1, 2, 3, 4};
.func (.param .b32 r) f(.param .b32 n) { .reg .b32 %n; ld.param.b32 %n, [n]; add.s32 %n, %n, 1; st.param.b32 [r], %n; ret; }
.visible .entry k(.param .u64 p, .param .u32 n) {
  .shared .align 8 .b8 s[256]; .local .align 8 .b8 l[64];
  .reg .b32 %r<9>; .reg .b64 %l<9>; .reg .f32 %f<9>; .reg .pred %p<5>; .reg .b16 %h<4>; .reg .f64 %d<4>;
  ld.param.u64 %l1, [p]; ld.param.u32 %r1, [n]; mov.u32 %r2, %tid.x;
  mul.wide.u32 %l2, %r2, 4; add.s64 %l3, %l1, %l2; ld.global.u32 %r3, [%l3];
  setp.lt.u32 %p1, %r2, %r1; @%p1 bra A; add.u32 %r3, %r3, 5; bra B;
A: mul.lo.u32 %r3, %r3, %r2;
B: shfl.sync.bfly.b32 %r4, %r3, 1, 31, -1; mov.u64 %l4, s; st.shared.u32 [%l4+8], %r3; bar.sync 0; ld.shared.v2.u32 {%r5, %r6}, [s+8];
  atom.global.add.u32 %r7, [%l3], 1; cvt.rn.f32.s32 %f1, %r5; fma.rn.f32 %f2, %f1, %f1, %f1; sin.approx.f32 %f3, %f2;
  st.local.f32 [l+4], %f3; mov.u64 %l5, l; cvta.local.u64 %l5, %l5; ld.f32 %f4, [%l5+4];
  { .param .b32 p0; .param .b32 r0; st.param.b32 [p0], %r5; call (r0), f, (p0); ld.param.b32 %r8, [r0]; }
  mov.b64 {%r1, %r2}, %l3; mov.b64 %l6, {%r1, %r2}; bfe.u32 %r1, %r2, 3, 4; prmt.b32 %r1, %r2, %r3, 0x1234;
  cvt.rn.f16.f32 %h1, %f4; cvt.rzi.s64.f32 %l7, %f3; div.rn.f64 %d1, 0d3FF0000000000000, %d2; vote.sync.ballot.b32 %r4, %p1, -1;
  st.global.u32 [%l3], %r8; ret;
})"};

TEST(Load, MutatedTextsNeverCrash) {
  std::mt19937 random(12345);
  const std::string seed = kSeeds[0];
  {
    TestDevice device;
    ASSERT_TRUE(device.load(seed)) << device.log;
    EXPECT_RUNS(device.run("k", {2}, {32}, device.zeros<uint32_t>(64), 7u));
  }
  std::vector<std::string> words;  // pieces of the text to paste elsewhere
  for (size_t at = 0; at < seed.size();) {
    const size_t end = std::min(seed.find_first_of(" \n;,", at), seed.size());
    if (end > at) words.push_back(seed.substr(at, end - at));
    at = end + 1;
  }
  std::atomic<bool> cancel{false}, stop{false};
  std::atomic<int64_t> begun{0};
  auto now = [] { return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::milliseconds(1); };
  std::thread watchdog([&] {
    while (!stop) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      if (begun != 0 && now() - begun > 20) cancel = true;
    }
  });
  int loaded = 0;
  for (int round = 0; round < 8000; ++round) {
    std::string text = seed;
    const int changes = 1 + static_cast<int>(random() % 2);
    for (int c = 0; c < changes; ++c) {
      const size_t at = random() % text.size();
      switch (random() % 5) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, 1 + random() % 10);
          break;
        case 2:
          text.insert(at, words[random() % words.size()]);
          break;
        case 3:
          text[at] = "0123456789%;,[]{}"[random() % 17];
          break;
        default: {
          const size_t begin = text.find_first_of(" ", at);
          if (begin == std::string::npos) break;
          const size_t end = text.find_first_of(" ;,", begin + 1);
          if (end != std::string::npos) text.replace(begin + 1, end - begin - 1, words[random() % words.size()]);
        }
      }
    }
    TestDevice device;
    if (!device.load(text)) {
      EXPECT_FALSE(device.log.empty());
      continue;
    }
    ++loaded;
    for (const Kernel* kernel : device.module->kernels()) {
      std::vector<uint8_t> params(kernel->info().param_bytes);
      const uint64_t data = device.memory.allocate(256, 256);
      if (params.size() >= 8) std::memcpy(params.data(), &data, 8);
      Launch launch;
      launch.block = {32, 1, 1};
      launch.params = params;
      cancel = false;
      begun = now();
      run(*kernel, launch, device.memory, {}, 1, &cancel);
      begun = 0;
    }
  }
  stop = true;
  watchdog.join();
  EXPECT_GT(loaded, 50) << "the mutations should leave some texts valid";
}

}  // namespace
}  // namespace nm::softgpu::ptx
