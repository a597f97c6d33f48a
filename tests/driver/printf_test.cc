// What a kernel prints comes out on standard output when the program synchronises.
#include "driver_test.h"

namespace {

constexpr const char* kPrinter = R"(
.version 7.5
.target sm_70
.address_size 64
.extern .func (.param .b32 r) vprintf(.param .b64 format, .param .b64 args);
.global .align 1 .b8 text[12] = {116, 104, 114, 101, 97, 100, 32, 37, 100, 10, 0, 0};

.visible .entry say()
{
  .local .align 8 .b8 depot[8];
  .reg .b32 %r<3>;
  .reg .b64 %rd<5>;
  mov.u32 %r1, %tid.x;
  mov.u64 %rd1, depot;
  cvta.local.u64 %rd2, %rd1;
  st.u32 [%rd2], %r1;
  mov.u64 %rd3, text;
  cvta.global.u64 %rd4, %rd3;
  {
    .param .b64 a;
    .param .b64 b;
    .param .b32 c;
    st.param.b64 [a], %rd4;
    st.param.b64 [b], %rd2;
    call.uni (c), vprintf, (a, b);
    ld.param.b32 %r2, [c];
  }
  ret;
}
)";

class Printf : public DriverTest {};

TEST_F(Printf, ComesOutOnStandardOutput) {
  CUmodule module = nullptr;
  CUfunction say = nullptr;
  OK(cuModuleLoadData(&module, kPrinter));
  OK(cuModuleGetFunction(&say, module, "say"));
  testing::internal::CaptureStdout();
  const CUresult launched = cuLaunchKernel(say, 1, 1, 1, 3, 1, 1, 0, nullptr, nullptr, nullptr);
  const CUresult ended = cuCtxSynchronize();
  std::fflush(stdout);
  const std::string out = testing::internal::GetCapturedStdout();
  OK(launched);
  OK(ended);
  for (const char* line : {"thread 0\n", "thread 1\n", "thread 2\n"})
    EXPECT_NE(std::string::npos, out.find(line)) << out;
}

}  // namespace
