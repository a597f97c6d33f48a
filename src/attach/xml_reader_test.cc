#include "attach/xml_reader.h"

#include <gtest/gtest.h>

#include <random>

namespace nm::attach {
namespace {

// "+a/b -a/b(text)": what next() gives, in order; "!" at the end where it broke.
std::string walk(std::string_view xml) {
  XmlReader reader(xml);
  std::string all;
  while (reader.next()) {
    all += (all.empty() ? "" : " ") + std::string(reader.begins() ? "+" : "-") + reader.path();
    if (!reader.begins() && !reader.text().empty()) all += "(" + reader.text() + ")";
  }
  return all + (reader.broken() ? "!" : "");
}

TEST(XmlReader, WalksElementsInOrder) {
  EXPECT_EQ(walk("<a><b/><c>x</c></a>"), "+a +a/b -a/b +a/c -a/c(x) -a");
  EXPECT_EQ(walk("<?xml version='1.0'?><!-- <z> --><a>1<!-- 2 -->3</a>"), "+a -a(13)");
  EXPECT_EQ(walk("<a>&lt;&#65;&#x42;&amp;</a>"), "+a -a(<AB&)");
  EXPECT_EQ(walk("<a><![CDATA[<b>&amp;]]></a>"), "+a -a(<b>&amp;)");
  EXPECT_EQ(walk(""), "");
}

TEST(XmlReader, ReadsAttributesInEitherQuotes) {
  XmlReader reader("<a x='1' y=\"a>b\" z = 'no'/>");
  EXPECT_FALSE(reader.next()) << "libvirt writes no blanks there";
  XmlReader good("<a x='1&quot;' y=\"a>'b\"\n\tw=''/>");
  ASSERT_TRUE(good.next());
  EXPECT_EQ(good.attribute("x"), "1\"");
  EXPECT_EQ(good.attribute("y"), "a>'b");
  EXPECT_EQ(good.attribute("w"), "");
  EXPECT_EQ(good.attribute("none"), "");
}

TEST(XmlReader, WhatIsNoXmlEndsTheReading) {
  for (const char* bad : {"<a>", "<a></b>", "</a>", "<a", "<>", "<a x>", "<a x=1>", "<a x='1>", "<!-- ",
                          "<a><![CDATA[</a>", "<a></ a>"}) {
    EXPECT_TRUE(walk(bad).ends_with('!')) << bad << ": " << walk(bad);
  }
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "<a>";
  EXPECT_TRUE(walk(deep).ends_with('!'));
}

TEST(XmlReader, AnyBytesAreNoCrash) {
  std::mt19937 random(5);
  constexpr std::string_view kParts[] = {"<", ">",    "a",   "/",         "'",   "\"",         "=",    " ",   "&",
                                         ";", "<!--", "-->", "<![CDATA[", "]]>", "&#x110000;", "&#0;", "\xff"};
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (size_t i = random() % 20; i > 0; --i) text += kParts[random() % std::size(kParts)];
    walk(text);
  }
}

}  // namespace
}  // namespace nm::attach
