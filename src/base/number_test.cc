#include "base/number.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace nm {
namespace {

TEST(Number, TakesWhatIsThereAndLeavesTheRest) {
  std::string_view text = "  42.7x";
  int value = 0;
  ASSERT_TRUE(take_number(&text, &value));
  EXPECT_EQ(42, value);
  EXPECT_TRUE(take_char(&text, '.'));
  EXPECT_FALSE(take_char(&text, 'x'));
  EXPECT_EQ("7x", text);
}

TEST(Number, LeavesEverythingWhereThereIsNoneOrItDoesNotFit) {
  for (std::string_view text : {"", "x", "-", "300"}) {
    const std::string_view before = text;
    uint8_t value = 7;
    EXPECT_FALSE(take_number(&text, &value)) << before;
    EXPECT_EQ(7, value);
    EXPECT_EQ(before, text);
  }
}

TEST(Number, ReadsOtherBasesAndFallsBack) {
  std::string_view text = "fF";
  unsigned value = 0;
  EXPECT_TRUE(take_number(&text, &value, 16));
  EXPECT_EQ(0xffu, value);
  EXPECT_EQ(5, number_or("five", 5));
  EXPECT_EQ(-3, number_or("-3", 5));
}

}  // namespace
}  // namespace nm
