// The kernels, as PTX. Both read before and after they have spent their time, so that whoever writes too early or too
// late is seen; the numbers are those of simulate.h.
//
// fold(dst, n, a, b, c, steps)           dst[i] = dst[i] * a + b + c' + i
// mix(dst, n, a, b, c, steps, src, m)    dst[i] = dst[i] * a + s * b + (s ^ c') + i, s = src[i % m]
#pragma once

namespace order {

inline constexpr char kPtx[] = R"(
.version 7.0
.target sm_50
.address_size 64

.visible .entry fold(.param .u64 dst, .param .u32 n, .param .u32 a, .param .u32 b, .param .u32 c, .param .u32 steps)
{
  .reg .pred %p<3>;
  .reg .b32 %r<14>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [dst];
  ld.param.u32 %r1, [n];
  ld.param.u32 %r2, [a];
  ld.param.u32 %r3, [b];
  ld.param.u32 %r4, [c];
  ld.param.u32 %r5, [steps];
  mov.u32 %r6, %ctaid.x;
  mov.u32 %r7, %ntid.x;
  mov.u32 %r8, %tid.x;
  mad.lo.u32 %r9, %r6, %r7, %r8;
  setp.ge.u32 %p1, %r9, %r1;
  @%p1 bra DONE;
  mul.wide.u32 %rd2, %r9, 4;
  add.u64 %rd3, %rd1, %rd2;
  ld.volatile.u32 %r10, [%rd3];
AGAIN:
  setp.eq.u32 %p2, %r5, 0;
  @%p2 bra OUT;
  mad.lo.u32 %r4, %r4, 1664525, 1013904223;
  sub.u32 %r5, %r5, 1;
  bra AGAIN;
OUT:
  mul.lo.u32 %r11, %r10, %r2;
  add.u32 %r11, %r11, %r3;
  add.u32 %r11, %r11, %r4;
  add.u32 %r11, %r11, %r9;
  st.volatile.u32 [%rd3], %r11;
DONE:
  ret;
}

.visible .entry mix(.param .u64 dst, .param .u32 n, .param .u32 a, .param .u32 b, .param .u32 c, .param .u32 steps,
                    .param .u64 src, .param .u32 m)
{
  .reg .pred %p<3>;
  .reg .b32 %r<20>;
  .reg .b64 %rd<7>;
  ld.param.u64 %rd1, [dst];
  ld.param.u32 %r1, [n];
  ld.param.u32 %r2, [a];
  ld.param.u32 %r3, [b];
  ld.param.u32 %r4, [c];
  ld.param.u32 %r5, [steps];
  ld.param.u64 %rd4, [src];
  ld.param.u32 %r12, [m];
  mov.u32 %r6, %ctaid.x;
  mov.u32 %r7, %ntid.x;
  mov.u32 %r8, %tid.x;
  mad.lo.u32 %r9, %r6, %r7, %r8;
  setp.ge.u32 %p1, %r9, %r1;
  @%p1 bra DONE;
  mul.wide.u32 %rd2, %r9, 4;
  add.u64 %rd3, %rd1, %rd2;
  rem.u32 %r13, %r9, %r12;
  mul.wide.u32 %rd5, %r13, 4;
  add.u64 %rd6, %rd4, %rd5;
  ld.volatile.u32 %r10, [%rd3];
  ld.volatile.u32 %r14, [%rd6];
AGAIN:
  setp.eq.u32 %p2, %r5, 0;
  @%p2 bra OUT;
  mad.lo.u32 %r4, %r4, 1664525, 1013904223;
  sub.u32 %r5, %r5, 1;
  bra AGAIN;
OUT:
  ld.volatile.u32 %r15, [%rd6];
  mul.lo.u32 %r11, %r10, %r2;
  mul.lo.u32 %r16, %r14, %r3;
  add.u32 %r11, %r11, %r16;
  xor.b32 %r17, %r15, %r4;
  add.u32 %r11, %r11, %r17;
  add.u32 %r11, %r11, %r9;
  st.volatile.u32 [%rd3], %r11;
DONE:
  ret;
}
)";

}  // namespace order
