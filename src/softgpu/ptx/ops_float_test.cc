#include <bit>
#include <cmath>
#include <limits>

#include "softgpu/ptx/test_calc.h"

namespace nm::softgpu::ptx {
namespace {

using u16 = uint16_t;
using u32 = uint32_t;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

u32 bits(float v) { return std::bit_cast<u32>(v); }

TEST(FloatOps, FusedMultiplyAddRoundsOnce) {
  const float a = 1 + 0x1p-12f;
  EXPECT_EQ((calc<float, float>("fma.rn.f32 %d, %a, %b, %c;", a, a, -1 - 0x1p-11f)), 0x1p-24f);
  const double b = 1 + 0x1p-27;
  EXPECT_EQ((calc<double, double>("fma.rn.f64 %d, %a, %b, %c;", b, b, -1 - 0x1p-26)), 0x1p-54);
}

TEST(FloatOps, DirectedRoundingIsHonoured) {
  EXPECT_EQ((calc<float, float>("add.rz.f32 %d, %a, %b;", 1, 0x1.8p-24f)), 1.0f);
  EXPECT_EQ((calc<float, float>("add.rp.f32 %d, %a, %b;", 1, 0x1p-30f)), 1 + 0x1p-23f);
  EXPECT_EQ((calc<float, float>("add.rm.f32 %d, %a, %b;", 1, -0x1p-40f)), 1 - 0x1p-24f);
  EXPECT_EQ((calc<double, double>("div.rp.f64 %d, %a, %b;", 1, 3)), std::nextafter(1.0 / 3, 1.0));
  EXPECT_EQ((calc<float, float>("sqrt.rm.f32 %d, %a;", 5)), std::nextafterf(sqrtf(5), 0));
  EXPECT_EQ((calc<float, float>("fma.rp.f32 %d, %a, %b, %c;", 1, 1, 0x1p-60f)), 1 + 0x1p-23f);
  EXPECT_EQ((calc<float, float>("add.rn.f32 %d, %a, %b;", 1, 0x1p-30f)), 1.0f);  // the mode does not stay behind
}

TEST(FloatOps, DenormalsAreFlushedOnlyWhenAsked) {
  const float tiny = 0x1p-140f;
  EXPECT_EQ((calc<float, float>("add.f32 %d, %a, %b;", tiny, tiny)), 2 * tiny);
  EXPECT_EQ((calc<float, float>("add.ftz.f32 %d, %a, %b;", tiny, tiny)), 0.0f);
  EXPECT_EQ(bits(calc<float, float>("mul.ftz.f32 %d, %a, %b;", -0x1p-100f, 0x1p-30f)), 0x80000000u);
  EXPECT_EQ((calc<float, float>("setp.eq.ftz.f32 %p, %a, 0f00000000; selp.f32 %d, 0f3F800000, 0f00000000, %p;", tiny)),
            1.0f);
}

TEST(FloatOps, SaturationClampsToTheUnitInterval) {
  EXPECT_EQ((calc<float, float>("add.sat.f32 %d, %a, %b;", 1, 1)), 1.0f);
  EXPECT_EQ((calc<float, float>("mul.sat.f32 %d, %a, %b;", -1, 1)), 0.0f);
  EXPECT_EQ((calc<float, float>("fma.rn.sat.f32 %d, %a, %b, %c;", kNaN, 1, 1)), 0.0f);
}

TEST(FloatOps, NaNIsCanonicalAndMinMaxSkipIt) {
  EXPECT_EQ(bits(calc<float, float>("sub.f32 %d, %a, %b;", kInf, kInf)), 0x7fffffffu);
  EXPECT_EQ((calc<float, float>("min.f32 %d, %a, %b;", kNaN, 3)), 3.0f);
  EXPECT_EQ((calc<float, float>("max.f32 %d, %a, %b;", 3, kNaN)), 3.0f);
  EXPECT_TRUE(std::isnan(calc<float, float>("max.NaN.f32 %d, %a, %b;", 3, kNaN)));
  EXPECT_EQ(bits(calc<float, float>("min.f32 %d, %a, %b;", 0.0f, -0.0f)), 0x80000000u);
  EXPECT_EQ(bits(calc<float, float>("max.f32 %d, %a, %b;", -0.0f, 0.0f)), 0u);
  EXPECT_EQ((calc<float, float>("max.xorsign.abs.f32 %d, %a, %b;", -5, 3)), -5.0f);
}

TEST(FloatOps, SignsAndProperties) {
  EXPECT_EQ((calc<float, float>("copysign.f32 %d, %a, %b;", -2, 3)), -3.0f);
  EXPECT_EQ((calc<double, double>("neg.f64 %d, %a;", 2)), -2.0);
  EXPECT_EQ((calc<float, float>("abs.f32 %d, %a;", -2)), 2.0f);
  auto property = [](const char* name, float value) {
    return calc<u32, float>("testp." + std::string(name) + ".f32 %p, %a; selp.b32 %d, 1, 0, %p;", value);
  };
  EXPECT_EQ(property("finite", 1), 1u);
  EXPECT_EQ(property("finite", -kInf), 0u);
  EXPECT_EQ(property("infinite", -kInf), 1u);
  EXPECT_EQ(property("notanumber", kNaN), 1u);
  EXPECT_EQ(property("normal", -1), 1u);
  EXPECT_EQ(property("normal", 0x1p-140f), 0u);
  EXPECT_EQ(property("subnormal", 0x1p-140f), 1u);
}

TEST(FloatOps, UnorderedComparisonsHoldForNaN) {
  auto test = [](const char* compare, float a, float b) {
    return calc<u32, float>("setp." + std::string(compare) + ".f32 %p, %a, %b; selp.b32 %d, 1, 0, %p;", a, b);
  };
  for (const char* compare : {"equ", "neu", "ltu", "leu", "gtu", "geu", "nan"})
    EXPECT_EQ(test(compare, kNaN, 1), 1u) << compare;
  for (const char* compare : {"eq", "ne", "lt", "le", "gt", "ge", "num"})
    EXPECT_EQ(test(compare, kNaN, 1), 0u) << compare;
  EXPECT_EQ(test("ltu", 1, 2), 1u);
  EXPECT_EQ(test("gtu", 1, 2), 0u);
  EXPECT_EQ(test("num", 1, 2), 1u);
}

TEST(FloatOps, SpecialFunctionsAreWithinTheirBounds) {
  for (float v : {-3.0f, -0.7f, 0.01f, 0.5f, 1.0f, 2.7f}) {
    EXPECT_NEAR((calc<float, float>("sin.approx.f32 %d, %a;", v)), std::sin(double{v}), 1e-6);
    EXPECT_NEAR((calc<float, float>("cos.approx.f32 %d, %a;", v)), std::cos(double{v}), 1e-6);
    EXPECT_NEAR((calc<float, float>("ex2.approx.f32 %d, %a;", v)), std::exp2(double{v}), 1e-6);
    EXPECT_NEAR((calc<float, float>("tanh.approx.f32 %d, %a;", v)), std::tanh(double{v}), 1e-6);
  }
  EXPECT_FLOAT_EQ((calc<float, float>("lg2.approx.f32 %d, %a;", 10)), std::log2(10.0f));
  EXPECT_FLOAT_EQ((calc<float, float>("rsqrt.approx.f32 %d, %a;", 10)), 1 / std::sqrt(10.0f));
  EXPECT_FLOAT_EQ((calc<float, float>("rcp.approx.ftz.f32 %d, %a;", 3)), 1 / 3.0f);
  EXPECT_EQ((calc<float, float>("div.full.f32 %d, %a, %b;", 1, 3)), 1 / 3.0f);
  EXPECT_EQ((calc<double, double>("rcp.rn.f64 %d, %a;", 3)), 1 / 3.0);
  EXPECT_EQ((calc<float, float>("lg2.approx.f32 %d, %a;", 0)), -kInf);
}

TEST(Conversions, FloatToIntegerRoundsSaturatesAndMapsNaN) {
  EXPECT_EQ((calc<int32_t, float>("cvt.rzi.s32.f32 %d, %a;", -2.7f)), -2);
  EXPECT_EQ((calc<int32_t, float>("cvt.rni.s32.f32 %d, %a;", 2.5f)), 2);
  EXPECT_EQ((calc<int32_t, float>("cvt.rmi.s32.f32 %d, %a;", -2.1f)), -3);
  EXPECT_EQ((calc<int32_t, float>("cvt.rpi.s32.f32 %d, %a;", 2.1f)), 3);
  EXPECT_EQ((calc<int32_t, float>("cvt.rzi.s32.f32 %d, %a;", 1e10f)), 0x7fffffff);
  EXPECT_EQ((calc<u32, float>("cvt.rzi.u32.f32 %d, %a;", -1)), 0u);
  EXPECT_EQ((calc<int32_t, float>("cvt.rzi.s32.f32 %d, %a;", kNaN)), 0);
  EXPECT_EQ((calc<uint64_t, float>("cvt.rzi.s64.f32 %d, %a;", kNaN)), uint64_t{1} << 63);
  EXPECT_EQ((calc<uint64_t, double>("cvt.rzi.u64.f64 %d, %a;", 0x1p63)), uint64_t{1} << 63);
  EXPECT_EQ((calc<int32_t, float>("cvt.rzi.s8.f32 %d, %a;", 300)), 127);
}

TEST(Conversions, IntegersWidenCutAndSaturate) {
  EXPECT_EQ((calc<int32_t, u32>("cvt.s32.s8 %d, %a;", 0x1ff)), -1);
  EXPECT_EQ((calc<u32, u32>("cvt.u32.u8 %d, %a;", 0x1ff)), 0xffu);
  EXPECT_EQ((calc<uint64_t, int32_t>("cvt.s64.s32 %d, %a;", -1)), ~uint64_t{0});
  EXPECT_EQ((calc<u16, u32>("cvt.u16.u32 %d, %a;", 0x12345)), 0x2345);
  EXPECT_EQ((calc<int32_t, int32_t>("cvt.sat.s8.s32 %d, %a;", 300)), 127);
  EXPECT_EQ((calc<u32, int32_t>("cvt.sat.u8.s32 %d, %a;", -3)), 0u);
}

TEST(Conversions, IntegerToFloatRoundsAsAsked) {
  EXPECT_EQ((calc<float, int32_t>("cvt.rn.f32.s32 %d, %a;", 0x1000001)), 16777216.0f);
  EXPECT_EQ((calc<float, int32_t>("cvt.rp.f32.s32 %d, %a;", 0x1000001)), 16777218.0f);
  EXPECT_EQ((calc<float, uint64_t>("cvt.rn.f32.u64 %d, %a;", ~uint64_t{0})), 0x1p64f);
  EXPECT_EQ((calc<float, uint64_t>("cvt.rz.f32.u64 %d, %a;", ~uint64_t{0})), 0x1.fffffep63f);
  EXPECT_EQ((calc<u16, int32_t>("cvt.rn.f16.s32 %d, %a;", 2049)), 0x6800);
}

TEST(Conversions, DoubleToFloatAndIntegralValues) {
  EXPECT_EQ((calc<float, double>("cvt.rz.f32.f64 %d, %a;", 1 + 0x1p-23 * 0.9)), 1.0f);
  EXPECT_EQ((calc<float, double>("cvt.rn.f32.f64 %d, %a;", 1 + 0x1p-23 * 0.9)), 1 + 0x1p-23f);
  EXPECT_EQ((calc<float, float>("cvt.rmi.f32.f32 %d, %a;", -1.5f)), -2.0f);
  EXPECT_EQ((calc<float, float>("cvt.sat.f32.f32 %d, %a;", 1.5f)), 1.0f);
  EXPECT_EQ((calc<u32, float>("cvt.rna.tf32.f32 %d, %a;", std::bit_cast<float>(0x3f801000u))), 0x3f802000u);
}

u16 half_of(double v) { return calc<u16, double>("cvt.rn.f16.f64 %d, %a;", v); }

TEST(HalfOps, ConversionsCoverTheWholeRange) {
  EXPECT_EQ(half_of(1), 0x3c00);
  EXPECT_EQ(half_of(65519.9), 0x7bff);
  EXPECT_EQ(half_of(65520), 0x7c00);
  EXPECT_EQ(half_of(0x1p-24), 1);
  EXPECT_EQ(half_of(0x1p-25), 0);
  EXPECT_EQ(half_of(0x1.8p-25), 1);
  EXPECT_EQ((calc<u16, float>("cvt.rn.f16.f32 %d, %a;", 0x1.8p-25f)), 1);
  EXPECT_EQ((calc<u16, float>("cvt.rz.f16.f32 %d, %a;", 1e9f)), 0x7bff);
  EXPECT_EQ((calc<u16, float>("cvt.rn.f16.f32 %d, %a;", -kInf)), 0xfc00);
  EXPECT_EQ((calc<u16, float>("cvt.rn.bf16.f32 %d, %a;", 1 + 0x1p-8f)), 0x3f80);
  EXPECT_EQ((calc<u16, float>("cvt.rn.relu.f16.f32 %d, %a;", -4)), 0);
  EXPECT_EQ((calc<u32, float>("cvt.rn.f16x2.f32 %d, %a, %b;", 1, 2)), 0x3c004000u);
}

// Every f16 goes to f32 and back unchanged, in a kernel of 65536 threads.
TEST(HalfOps, EveryHalfSurvivesARoundTrip) {
  TestDevice device;
  ASSERT_TRUE(device.load(R"(.version 8.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 out) {
  .reg .b64 %o, %x; .reg .b32 %i, %b, %n; .reg .f32 %f; .reg .b16 %h;
  ld.param.u64 %o, [out];
  mov.u32 %b, %ctaid.x; mov.u32 %n, %ntid.x; mov.u32 %i, %tid.x;
  mad.lo.u32 %i, %b, %n, %i;
  cvt.u16.u32 %h, %i;
  cvt.f32.f16 %f, %h;
  cvt.rn.f16.f32 %h, %f;
  mul.wide.u32 %x, %i, 2;
  add.u64 %o, %o, %x;
  st.global.b16 [%o], %h;
  ret;
})")) << device.log;
  u16* out = device.zeros<u16>(65536);
  EXPECT_RUNS(device.run("k", {256}, {256}, out));
  for (u32 i = 0; i < 65536; ++i) {
    const bool nan = (i & 0x7fff) > 0x7c00;
    ASSERT_EQ(out[i], nan ? 0x7fff : i);
  }
}

TEST(HalfOps, ArithmeticRoundsOnce) {
  EXPECT_EQ((calc<u16, u16>("add.f16 %d, %a, %b;", 0x3c00, 0x3c00)), 0x4000);
  EXPECT_EQ((calc<u16, u16>("mul.f16 %d, %a, %b;", 0x4200, 0x4000)), 0x4600);
  // (1 + 2^-10)^2 - (1 + 2^-9) is 2^-20: gone if the product were rounded first.
  EXPECT_EQ((calc<u16, u16>("fma.rn.f16 %d, %a, %b, %c;", 0x3c01, 0x3c01, 0xbc02)), 0x0010);
  EXPECT_EQ((calc<u16, u16>("fma.rn.bf16 %d, %a, %b, %c;", 0x3f81, 0x3f81, 0xbf82)), 0x3880);
  EXPECT_EQ((calc<u16, u16>("fma.rn.relu.f16 %d, %a, %b, %c;", 0x3c00, 0xbc00, 0)), 0);
  EXPECT_EQ((calc<u32, u32>("add.f16x2 %d, %a, %b;", 0x3c004000, 0x3c003c00)), 0x40004200u);
  EXPECT_EQ((calc<u32, u32>("fma.rn.bf16x2 %d, %a, %b, %c;", 0x3f804000, 0x40004000, 0)), 0x40004080u);
  EXPECT_EQ((calc<u32, u32>("max.NaN.f16x2 %d, %a, %b;", 0x3c007e00, 0x40003c00)), 0x40007fffu);
  EXPECT_EQ((calc<u32, u32>("neg.f16x2 %d, %a;", 0x3c003c00)), 0xbc00bc00u);
  EXPECT_EQ((calc<u32, u32>("set.lt.f16x2.f16x2 %d, %a, %b;", 0x3c004000, 0x40003c00)), 0x3c000000u);
  EXPECT_EQ((calc<u16, u16>("ex2.approx.f16 %d, %a;", 0x4000)), 0x4400);
}

}  // namespace
}  // namespace nm::softgpu::ptx
