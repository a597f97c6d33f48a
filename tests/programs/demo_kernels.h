// The demo's kernels, as a compiler would hand them to the driver: PTX text.
#pragma once

inline constexpr char kDemoPtx[] = R"(
.version 6.4
.target sm_60
.address_size 64

// c[i] = a[i] + b[i], i < n
.visible .entry add(.param .u64 a, .param .u64 b, .param .u64 c, .param .u32 n)
{
  .reg .pred %p;
  .reg .b32 %r<6>;
  .reg .f32 %f<4>;
  .reg .b64 %d<8>;
  mov.u32 %r1, %ctaid.x;
  mov.u32 %r2, %ntid.x;
  mov.u32 %r3, %tid.x;
  mad.lo.s32 %r4, %r1, %r2, %r3;
  ld.param.u32 %r5, [n];
  setp.ge.u32 %p, %r4, %r5;
  @%p bra DONE;
  ld.param.u64 %d1, [a];
  ld.param.u64 %d2, [b];
  ld.param.u64 %d3, [c];
  mul.wide.u32 %d4, %r4, 4;
  add.s64 %d5, %d1, %d4;
  add.s64 %d6, %d2, %d4;
  add.s64 %d7, %d3, %d4;
  ld.global.f32 %f1, [%d5];
  ld.global.f32 %f2, [%d6];
  add.f32 %f3, %f1, %f2;
  st.global.f32 [%d7], %f3;
DONE:
  ret;
}

// c = a b, all n x n and row-major, one thread an element
.visible .entry matmul(.param .u64 a, .param .u64 b, .param .u64 c, .param .u32 n)
{
  .reg .pred %p, %q;
  .reg .b32 %r<14>;
  .reg .f32 %f<4>;
  .reg .b64 %d<12>;
  mov.u32 %r1, %ctaid.x;
  mov.u32 %r2, %ntid.x;
  mov.u32 %r3, %tid.x;
  mad.lo.s32 %r4, %r1, %r2, %r3;   // column
  mov.u32 %r5, %ctaid.y;
  mov.u32 %r6, %ntid.y;
  mov.u32 %r7, %tid.y;
  mad.lo.s32 %r8, %r5, %r6, %r7;   // row
  ld.param.u32 %r9, [n];
  setp.ge.u32 %p, %r4, %r9;
  @%p bra DONE;
  setp.ge.u32 %p, %r8, %r9;
  @%p bra DONE;
  ld.param.u64 %d1, [a];
  ld.param.u64 %d2, [b];
  ld.param.u64 %d3, [c];
  mul.lo.u32 %r10, %r8, %r9;
  mul.wide.u32 %d4, %r10, 4;
  add.s64 %d5, %d1, %d4;           // a[row][0]
  mul.wide.u32 %d6, %r4, 4;
  add.s64 %d7, %d2, %d6;           // b[0][column]
  mul.wide.u32 %d8, %r9, 4;        // a row's bytes
  mov.f32 %f1, 0f00000000;
  mov.u32 %r11, 0;
LOOP:
  ld.global.f32 %f2, [%d5];
  ld.global.f32 %f3, [%d7];
  fma.rn.f32 %f1, %f2, %f3, %f1;
  add.s64 %d5, %d5, 4;
  add.s64 %d7, %d7, %d8;
  add.u32 %r11, %r11, 1;
  setp.lt.u32 %q, %r11, %r9;
  @%q bra LOOP;
  add.u32 %r12, %r10, %r4;
  mul.wide.u32 %d9, %r12, 4;
  add.s64 %d10, %d3, %d9;
  st.global.f32 [%d10], %f1;
DONE:
  ret;
}

// *sum += x[0] + ... + x[n - 1]: each block in shared memory, the blocks by an atomic. 256 threads a block.
.visible .entry sum(.param .u64 x, .param .u64 total, .param .u32 n)
{
  .shared .align 4 .b8 part[1024];
  .reg .pred %p, %q;
  .reg .b32 %r<16>;
  .reg .b64 %d<6>;
  mov.u32 %r1, %ctaid.x;
  mov.u32 %r2, %ntid.x;
  mov.u32 %r3, %tid.x;
  mad.lo.s32 %r4, %r1, %r2, %r3;
  ld.param.u32 %r5, [n];
  mov.u32 %r6, 0;
  setp.ge.u32 %p, %r4, %r5;
  @%p bra LOADED;
  ld.param.u64 %d1, [x];
  mul.wide.u32 %d2, %r4, 4;
  add.s64 %d3, %d1, %d2;
  ld.global.u32 %r6, [%d3];
LOADED:
  mov.u32 %r7, part;
  shl.b32 %r8, %r3, 2;
  add.u32 %r9, %r7, %r8;
  st.shared.u32 [%r9], %r6;
  bar.sync 0;
  mov.u32 %r10, 128;
HALVE:
  setp.ge.u32 %p, %r3, %r10;
  @%p bra NEXT;
  shl.b32 %r11, %r10, 2;
  add.u32 %r12, %r9, %r11;
  ld.shared.u32 %r13, [%r12];
  ld.shared.u32 %r14, [%r9];
  add.u32 %r14, %r14, %r13;
  st.shared.u32 [%r9], %r14;
NEXT:
  bar.sync 0;
  shr.u32 %r10, %r10, 1;
  setp.ne.u32 %q, %r10, 0;
  @%q bra HALVE;
  setp.ne.u32 %p, %r3, 0;
  @%p bra DONE;
  ld.shared.u32 %r15, [part];
  ld.param.u64 %d4, [total];
  red.global.add.u32 [%d4], %r15;
DONE:
  ret;
}

// x[i] += 1
.visible .entry step(.param .u64 x)
{
  .reg .b32 %r<3>;
  .reg .b64 %d<4>;
  mov.u32 %r1, %tid.x;
  ld.param.u64 %d1, [x];
  mul.wide.u32 %d2, %r1, 4;
  add.s64 %d3, %d1, %d2;
  ld.global.u32 %r2, [%d3];
  add.u32 %r2, %r2, 1;
  st.global.u32 [%d3], %r2;
  ret;
}
)";
