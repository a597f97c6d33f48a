#include "workload/ai/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace nm::workload::ai {
namespace {

TEST(Bf16, RoundsToTheNearestAndTiesToEven) {
  EXPECT_EQ(from_bf16(to_bf16(1.0f)), 1.0f);
  EXPECT_EQ(from_bf16(to_bf16(1.0f + 0x1p-8f)), 1.0f);                // half way: to the even one below
  EXPECT_EQ(from_bf16(to_bf16(1.0f + 3 * 0x1p-8f)), 1.0f + 0x1p-6f);  // half way: to the even one above
  EXPECT_EQ(from_bf16(to_bf16(1.0f + 0x1.02p-8f)), 1.0f + 0x1p-7f);
  EXPECT_EQ(from_bf16(to_bf16(-2.0f - 0x1p-5f)), -2.0f - 0x1p-5f);
}

TEST(Uniform, FillsItsRangeAndDependsOnTheSeed) {
  const Uniform values{7, 2.0f}, others{8, 2.0f};
  double sum = 0, square = 0, same = 0;
  constexpr int kCount = 100000;
  for (uint32_t i = 0; i < kCount; ++i) {
    const auto v = static_cast<double>(values.exact(i));
    ASSERT_LE(std::abs(v), 2.0);
    sum += v, square += v * v;
    same += values.exact(i) == others.exact(i);
  }
  EXPECT_NEAR(sum / kCount, 0, 0.02);
  EXPECT_NEAR(square / kCount, 4.0 / 3, 0.02);
  EXPECT_LT(same, 10);
}

TEST(WorstError, ShowsOneWrongElementOfMany) {
  std::vector<float> result(100000, 1.0f);
  const std::vector<double> reference(result.size(), 1.0);
  EXPECT_EQ(worst_error(result, reference), 0);
  result[77777] = 1.5f;
  EXPECT_DOUBLE_EQ(worst_error(result, reference), 0.25);
}

TEST(WorstError, IsInfiniteForNanAndForLengthsThatDiffer) {
  const std::vector<double> reference(3, 1.0);
  EXPECT_TRUE(std::isinf(worst_error({1.0f, std::numeric_limits<float>::quiet_NaN(), 1.0f}, reference)));
  EXPECT_TRUE(std::isinf(worst_error({1.0f, 1.0f}, reference)));
  EXPECT_TRUE(std::isinf(worst_error({}, {})));
}

TEST(Dot, AddsEveryTermOnce) {
  std::vector<float> a;
  std::vector<double> b;
  for (int i = 1; i <= 21; ++i) a.push_back(static_cast<float>(i)), b.push_back(2.0);
  EXPECT_EQ(dot(a.data(), b.data(), a.size()), 21 * 22);
}

TEST(InParallel, DoesEverythingOnce) {
  std::vector<int> done(1000);
  in_parallel(done.size(), [&](size_t i) { ++done[i]; });
  EXPECT_EQ(done, std::vector<int>(1000, 1));
}

}  // namespace
}  // namespace nm::workload::ai
