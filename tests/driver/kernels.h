// PTX that several tests run, and how to run it.
#pragma once

#include <cuda_abi.h>

// scale(u32* data, u32 n, u32 factor): data[i] = data[i] * factor, for i < n
// fill(u32* data, u32 value): data[global thread] = value, whatever the bounds
// spin(u32* flag): until *flag is not zero
// trap_kernel(), misaligned(u64 p): end with an error
// count_up(): counter += 1 in every thread
// shared_sum(u32* out, u32* in): the sum over a block, through dynamic shared memory
inline constexpr const char* kKernels = R"(
.version 7.5
.target sm_70
.address_size 64

.visible .global .align 4 .u32 counter = 7;
.visible .const .align 4 .u32 table[4] = {10, 20, 30, 40};

.visible .entry scale(.param .u64 p_data, .param .u32 p_n, .param .u32 p_factor)
{
  .reg .pred %p<2>;
  .reg .b32 %r<8>;
  .reg .b64 %rd<5>;
  ld.param.u64 %rd1, [p_data];
  ld.param.u32 %r1, [p_n];
  ld.param.u32 %r2, [p_factor];
  mov.u32 %r3, %ctaid.x;
  mov.u32 %r4, %ntid.x;
  mov.u32 %r5, %tid.x;
  mad.lo.s32 %r6, %r3, %r4, %r5;
  setp.ge.u32 %p1, %r6, %r1;
  @%p1 bra DONE;
  cvta.to.global.u64 %rd2, %rd1;
  mul.wide.u32 %rd3, %r6, 4;
  add.s64 %rd4, %rd2, %rd3;
  ld.global.u32 %r7, [%rd4];
  mul.lo.s32 %r7, %r7, %r2;
  st.global.u32 [%rd4], %r7;
DONE:
  ret;
}

.visible .entry fill(.param .u64 p_data, .param .u32 p_value)
{
  .reg .b32 %r<6>;
  .reg .b64 %rd<5>;
  ld.param.u64 %rd1, [p_data];
  ld.param.u32 %r1, [p_value];
  mov.u32 %r2, %ctaid.x;
  mov.u32 %r3, %ntid.x;
  mov.u32 %r4, %tid.x;
  mad.lo.s32 %r5, %r2, %r3, %r4;
  cvta.to.global.u64 %rd2, %rd1;
  mul.wide.u32 %rd3, %r5, 4;
  add.s64 %rd4, %rd2, %rd3;
  st.global.u32 [%rd4], %r1;
  ret;
}

.visible .entry spin(.param .u64 p_flag)
{
  .reg .pred %p<2>;
  .reg .b32 %r<2>;
  .reg .b64 %rd<2>;
  ld.param.u64 %rd1, [p_flag];
AGAIN:
  ld.volatile.u32 %r1, [%rd1];
  setp.eq.u32 %p1, %r1, 0;
  @%p1 bra AGAIN;
  ret;
}

.visible .entry trap_kernel()
{
  trap;
  ret;
}

.visible .entry count_up()
{
  .reg .b32 %r<2>;
  .reg .b64 %rd<2>;
  mov.u64 %rd1, counter;
  atom.global.add.u32 %r1, [%rd1], 1;
  ret;
}

.visible .entry misaligned(.param .u64 p)
{
  .reg .b32 %r<2>;
  .reg .b64 %rd<3>;
  ld.param.u64 %rd1, [p];
  add.s64 %rd2, %rd1, 1;
  mov.u32 %r1, 1;
  st.global.u32 [%rd2], %r1;
  ret;
}

.visible .entry small(.param .u64 p, .param .u8 b, .param .u64 q)
.maxntid 64, 1, 1
{
  ret;
}

.extern .shared .align 16 .b8 scratch[];

.visible .entry shared_sum(.param .u64 p_out, .param .u64 p_in)
{
  .reg .pred %p<3>;
  .reg .b32 %r<12>;
  .reg .b64 %rd<8>;
  ld.param.u64 %rd1, [p_out];
  ld.param.u64 %rd2, [p_in];
  mov.u32 %r1, %tid.x;
  mul.wide.u32 %rd3, %r1, 4;
  add.s64 %rd4, %rd2, %rd3;
  ld.global.u32 %r2, [%rd4];
  mov.u32 %r3, scratch;
  shl.b32 %r4, %r1, 2;
  add.s32 %r5, %r3, %r4;
  st.shared.u32 [%r5], %r2;
  mov.u32 %r6, %ntid.x;
  shr.u32 %r6, %r6, 1;
LOOP:
  bar.sync 0;
  setp.eq.u32 %p1, %r6, 0;
  @%p1 bra OUT;
  setp.ge.u32 %p2, %r1, %r6;
  @%p2 bra SKIP;
  shl.b32 %r7, %r6, 2;
  add.s32 %r8, %r5, %r7;
  ld.shared.u32 %r9, [%r8];
  ld.shared.u32 %r10, [%r5];
  add.s32 %r10, %r10, %r9;
  st.shared.u32 [%r5], %r10;
SKIP:
  shr.u32 %r6, %r6, 1;
  bra LOOP;
OUT:
  setp.ne.u32 %p1, %r1, 0;
  @%p1 bra END;
  ld.shared.u32 %r11, [scratch];
  st.global.u32 [%rd1], %r11;
END:
  ret;
}
)";
