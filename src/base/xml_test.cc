#include "base/xml.h"

#include <gtest/gtest.h>

namespace nm {
namespace {

TEST(Xml, EscapesWhatHasAMeaning) {
  EXPECT_EQ(xml_escaped("a<b>&\"c'"), "a&lt;b&gt;&amp;&quot;c&apos;");
  EXPECT_EQ(xml_escaped("a\tb\nc\r"), "a&#9;b&#10;c&#13;");
  EXPECT_EQ(xml_escaped("pl\u00e4in"), "pl\u00e4in");
}

TEST(Xml, KnowsWhatItCannotHold) {
  for (const char* good : {"", "plain", "\t\n\r", "\u00e4\u20ac\U0001f600"}) EXPECT_TRUE(xml_can_hold(good)) << good;
  const std::string_view bad[] = {"\x01",
                                  "a\x1f",
                                  std::string_view("\0", 1),
                                  "\x80",
                                  "\xc3",
                                  "\xc0\xaf",
                                  "\xe0\x80\xaf",
                                  "\xed\xa0\x80",
                                  "\xef\xbf\xbf",
                                  "\xf5\x80\x80\x80",
                                  "\xf4\x90\x80\x80",
                                  "\xe2\x82"};
  for (const std::string_view text : bad) EXPECT_FALSE(xml_can_hold(text)) << text.size();
}

}  // namespace
}  // namespace nm
