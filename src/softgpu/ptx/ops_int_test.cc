#include "softgpu/ptx/test_calc.h"

namespace nm::softgpu::ptx {
namespace {

using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using s32 = int32_t;
using s64 = int64_t;

TEST(IntegerOps, AddAndSubtractWrapOrSaturate) {
  EXPECT_EQ((calc<u32, u32>("add.u32 %d, %a, %b;", 0xffffffff, 2)), 1u);
  EXPECT_EQ((calc<s32, s32>("add.sat.s32 %d, %a, %b;", 0x7fffffff, 2)), 0x7fffffff);
  EXPECT_EQ((calc<s32, s32>("sub.sat.s32 %d, %a, %b;", -0x7fffffff, 5)), s32(0x80000000));
  EXPECT_EQ((calc<u16, u16>("sub.s16 %d, %a, %b;", 3, 5)), u16(-2));
  EXPECT_EQ((calc<u64, u64>("add.s64 %d, %a, -1;", 0)), ~u64(0));
}

TEST(IntegerOps, CarriesChainAcrossWords) {
  const std::string add = "add.cc.u32 %r0, %a, %b; addc.u32 %d, 0, 0;";
  EXPECT_EQ((calc<u32, u32>(add, 0xffffffff, 1)), 1u);
  EXPECT_EQ((calc<u32, u32>(add, 0xfffffffe, 1)), 0u);
  EXPECT_EQ((calc<u32, u32>("sub.cc.u32 %r0, %a, %b; subc.u32 %d, 5, 0;", 1, 2)), 4u);
  // A borrow leaves the flag clear: addc counts the steps without one, as the division of 128-bit numbers does.
  EXPECT_EQ((calc<u32, u32>("sub.cc.u32 %r0, %a, %b; addc.u32 %d, 0, 0;", 1, 2)), 0u);
  EXPECT_EQ((calc<u32, u32>("sub.cc.u32 %r0, %a, %b; addc.u32 %d, 0, 0;", 2, 2)), 1u);
  EXPECT_EQ((calc<u32, u32>("sub.cc.u32 %r0, %a, %b; subc.cc.u32 %r1, 0, 0; subc.u32 %d, 9, 2;", 1, 2)), 6u);
  EXPECT_EQ((calc<u64, u64>("sub.cc.u64 %l0, %a, %b; subc.u64 %d, %c, 0;", 0, 1, 9)), 8u);
  EXPECT_EQ(
      (calc<u32, u32>("mad.lo.cc.u32 %r0, %a, %b, %c; madc.hi.u32 %d, %a, %b, 7;", 0xffffffff, 0xffffffff, 0xffffffff)),
      0xfffffffe + 8u);
  EXPECT_EQ((calc<u64, u64>("add.cc.u64 %l0, %a, %b; addc.u64 %d, %c, 0;", ~u64(0), 1, 9)), 10u);
}

TEST(IntegerOps, ReluInBothSpellings) {
  EXPECT_EQ((calc<s32, s32>("max.s32.relu %d, %a, %b;", -7, -9)), 0);
  EXPECT_EQ((calc<s32, s32>("min.relu.s32 %d, %a, %b;", 7, 9)), 7);
  EXPECT_EQ((calc<u32, u32>("max.s16x2.relu %d, %a, %b;", 0xffff0003, 0xfffe0005)), 5u);
  EXPECT_EQ((calc<u32, u32>("min.s16x2.relu %d, %a, %b;", 0x00040003, 0xfffe0005)), 3u);
}

TEST(IntegerOps, Products) {
  EXPECT_EQ((calc<u32, u32>("mul.hi.u32 %d, %a, %b;", 0x80000000, 6)), 3u);
  EXPECT_EQ((calc<s32, s32>("mul.hi.s32 %d, %a, %b;", -2, 5)), -1);
  EXPECT_EQ((calc<s64, s32>("mul.wide.s32 %d, %a, %b;", -100000, 100000)), -10000000000ll);
  EXPECT_EQ((calc<u64, u32, u32, u64>("mad.wide.u32 %d, %a, %b, %c;", 100000, 100000, 5)), 10000000005ull);
  EXPECT_EQ((calc<u64, u64>("mul.hi.u64 %d, %a, %b;", u64(1) << 63, 8)), 4u);
  EXPECT_EQ((calc<s32, s32>("mad.hi.sat.s32 %d, %a, %b, %c;", 0x7fffffff, 0x7fffffff, 0x7fffffff)), 0x7fffffff);
  EXPECT_EQ((calc<s32, s32>("mul24.lo.s32 %d, %a, %b;", 0x01ffffff, 2)), -2);
}

TEST(IntegerOps, DivisionByZeroDoesNotTrap) {
  EXPECT_EQ((calc<u32, u32>("div.u32 %d, %a, %b;", 7, 0)), ~0u);
  EXPECT_EQ((calc<u32, u32>("rem.u32 %d, %a, %b;", 7, 0)), 7u);
  EXPECT_EQ((calc<s32, s32>("div.s32 %d, %a, %b;", s32(0x80000000), -1)), s32(0x80000000));
  EXPECT_EQ((calc<s32, s32>("rem.s32 %d, %a, %b;", s32(0x80000000), -1)), 0);
  EXPECT_EQ((calc<s64, s64>("div.s64 %d, %a, %b;", -7, 2)), -3);
  EXPECT_EQ((calc<s64, s64>("rem.s64 %d, %a, %b;", -7, 2)), -1);
}

TEST(IntegerOps, ShiftsClampTheirAmount) {
  EXPECT_EQ((calc<u32, u32>("shl.b32 %d, %a, %b;", 1, 32)), 0u);
  EXPECT_EQ((calc<s32, s32>("shr.s32 %d, %a, %b;", -8, 200)), -1);
  EXPECT_EQ((calc<u32, u32>("shr.u32 %d, %a, %b;", 0x80000000, 31)), 1u);
  EXPECT_EQ((calc<u64, u64, u32>("shl.b64 %d, %a, %b;", 1, 40)), u64(1) << 40);
  EXPECT_EQ((calc<u16, u16, u32>("shr.s16 %d, %a, %b;", 0x8000, 15)), 0xffff);
  EXPECT_EQ((calc<u32, u32>("shf.l.wrap.b32 %d, %a, %b, %c;", 0x80000001, 2, 33)), 5u);
  EXPECT_EQ((calc<u32, u32>("shf.r.clamp.b32 %d, %a, %b, %c;", 5, 2, 40)), 2u);
}

TEST(IntegerOps, BitFields) {
  EXPECT_EQ((calc<u32, u32>("bfe.u32 %d, %a, %b, %c;", 0xabcd1234, 8, 8)), 0x12u);
  EXPECT_EQ((calc<s32, u32>("bfe.s32 %d, %a, %b, %c;", 0xf0, 4, 4)), -1);
  EXPECT_EQ((calc<s32, u32>("bfe.s32 %d, %a, %b, %c;", 0x80000000, 40, 4)), -1);
  EXPECT_EQ((calc<u32, u32>("bfe.u32 %d, %a, %b, %c;", 0xffffffff, 3, 0)), 0u);
  EXPECT_EQ((calc<u64, u64, u32, u32>("bfe.u64 %d, %a, %b, %c;", ~u64(0), 60, 20)), 15u);
  EXPECT_EQ((calc<u32, u32>("bfi.b32 %d, %a, %b, %c, 8;", 0xff, 0, 28)), 0xf0000000);
  EXPECT_EQ((calc<u64, u64, u64, u32>("bfi.b64 %d, %a, %b, %c, 32;", 1, 2, 32)), (u64(1) << 32) | 2);
  EXPECT_EQ((calc<u32, u32>("bmsk.clamp.b32 %d, %a, %b;", 4, 100)), 0xfffffff0);
  EXPECT_EQ((calc<s32, u32>("szext.clamp.s32 %d, %a, %b;", 0x1ff, 9)), -1);
}

TEST(IntegerOps, CountingAndFinding) {
  EXPECT_EQ((calc<u32, u64>("popc.b64 %d, %a;", ~u64(0))), 64u);
  EXPECT_EQ((calc<u32, u32>("clz.b32 %d, %a;", 0)), 32u);
  EXPECT_EQ((calc<u32, u64>("clz.b64 %d, %a;", 1)), 63u);
  EXPECT_EQ((calc<u32, u32>("brev.b32 %d, %a;", 6)), 0x60000000u);
  EXPECT_EQ((calc<u32, u32>("bfind.u32 %d, %a;", 0)), ~0u);
  EXPECT_EQ((calc<u32, u32>("bfind.s32 %d, %a;", u32(-9))), 3u);
  EXPECT_EQ((calc<u32, u32>("bfind.shiftamt.u32 %d, %a;", 1)), 31u);
  EXPECT_EQ((calc<u32, u32>("fns.b32 %d, %a, 0, 2;", 0x88)), 7u);
  EXPECT_EQ((calc<u32, u32>("fns.b32 %d, %a, 31, -1;", 0x88)), 7u);
  EXPECT_EQ((calc<u32, u32>("fns.b32 %d, %a, 0, 3;", 0x88)), ~0u);
}

TEST(IntegerOps, PermutationsAndTables) {
  EXPECT_EQ((calc<u32, u32>("prmt.b32 %d, %a, %b, 0x7531;", 0x33221100, 0x77665544)), 0x77553311u);
  EXPECT_EQ((calc<u32, u32>("prmt.b32 %d, %a, %b, 0x000b;", 0x80000000, 0)), 0xffu);
  EXPECT_EQ((calc<u32, u32>("prmt.b32.b4e %d, %a, %b, %c;", 0x33221100, 0x77665544, 1)), 0x66770011u);
  EXPECT_EQ((calc<u32, u32>("prmt.b32.rc16 %d, %a, %b, %c;", 0x33221100, 0, 1)), 0x33223322u);
  EXPECT_EQ((calc<u32, u32>("lop3.b32 %d, %a, %b, %c, 0x96;", 12, 10, 7)), u32(12 ^ 10 ^ 7));
  EXPECT_EQ((calc<u32, u32>("lop3.b32 %d, %a, %b, %c, 0xe8;", 12, 10, 6)), u32((12 & 10) | (12 & 6) | (10 & 6)));
}

TEST(IntegerOps, DotProductsAndDifferences) {
  EXPECT_EQ((calc<u32, u32>("dp4a.u32.u32 %d, %a, %b, %c;", 0x01020304, 0x05060708, 1)), 71u);
  EXPECT_EQ((calc<s32, u32>("dp4a.s32.u32 %d, %a, %b, %c;", 0xffffffff, 0x01010101, 0)), -4);
  EXPECT_EQ((calc<s32, u32>("dp2a.lo.s32.s32 %d, %a, %b, %c;", 0xffff0002, 0x0000ff03, 0)), 7);
  EXPECT_EQ((calc<u32, u32>("sad.s32 %d, %a, %b, %c;", u32(-5), 5, 1)), 11u);
  EXPECT_EQ((calc<u32, u32>("add.u16x2 %d, %a, %b;", 0xffff0001, 0x00020003)), 0x00010004u);
}

TEST(IntegerOps, SelectionAndComparison) {
  EXPECT_EQ((calc<u32, u32>("slct.u32.s32 %d, %a, %b, %c;", 1, 2, u32(-1))), 2u);
  EXPECT_EQ((calc<u32, u32>("set.lt.u32.s32 %d, %a, %b;", u32(-1), 0)), ~0u);
  EXPECT_EQ((calc<u32, u32>("set.lt.f32.u32 %d, %a, %b;", 1, 2)), 0x3f800000u);
  EXPECT_EQ((calc<u32, u32>("setp.lo.u32 %p, %a, %b; setp.gt.and.s32 %q, %a, %b, !%p; selp.b32 %d, 1, 2, %q;", 5, 3)),
            1u);
  EXPECT_EQ(
      (calc<u32, u32>("setp.lt.s32 %p|%q, %a, %b; not.pred %p, %p; or.pred %p, %p, %q; selp.b32 %d, 1, 2, %p;", 1, 3)),
      2u);
  EXPECT_EQ((calc<s32, s32>("min.s32 %d, %a, %b;", -3, 2)), -3);
  EXPECT_EQ((calc<u32, u32>("max.u32 %d, %a, %b;", u32(-3), 2)), u32(-3));
  EXPECT_EQ((calc<u32, u32>("cnot.b32 %d, %a;", 0)), 1u);
  EXPECT_EQ((calc<s64, s64>("abs.s64 %d, %a;", -5)), 5);
}

TEST(IntegerOps, MoveBetweenVectorsAndScalars) {
  EXPECT_EQ((calc<u64, u32>("mov.b64 %d, {%a, %b};", 1, 2)), (u64(2) << 32) | 1);
  EXPECT_EQ((calc<u32, u64>("mov.b64 {_, %d}, %a;", (u64(7) << 32) | 1)), 7u);
  EXPECT_EQ((calc<u32, u16>("mov.b32 %d, {%a, %b};", 1, 2)), 0x20001u);
}

}  // namespace
}  // namespace nm::softgpu::ptx
