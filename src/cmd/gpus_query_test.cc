#include "cmd/gpus_query.h"

#include <gtest/gtest.h>

namespace nm::cmd {
namespace {

TEST(GpusQuery, JsonRoundTripKeepsEverything) {
  const std::vector<GpuInfo> gpus = {{.index = 0,
                                      .name = "A \"GPU\"",
                                      .uuid = "GPU-01234567-89ab-cdef-0123-456789abcdef",
                                      .pci = "0000:65:00.0",
                                      .memory_bytes = 150'000'000'000,
                                      .capability_major = 9,
                                      .capability_minor = 0,
                                      .multiprocessors = 132},
                                     {.index = 1}};
  const auto back = from_json(to_json(gpus));
  ASSERT_TRUE(back) << back.error().message;
  ASSERT_EQ(back->size(), 2u);
  EXPECT_EQ((*back)[0].name, "A \"GPU\"");
  EXPECT_EQ((*back)[0].memory_bytes, 150'000'000'000u);
  EXPECT_EQ((*back)[0].capability_major, 9);
  EXPECT_EQ((*back)[0].multiprocessors, 132);
  EXPECT_EQ(to_json(*back), to_json(gpus));
}

TEST(GpusQuery, NoGpuIsAnEmptyList) {
  EXPECT_EQ(to_json({}), "[]");
  EXPECT_TRUE(from_json("[]")->empty());
}

TEST(GpusQuery, WhatIsNoListIsAnError) {
  for (const char* text : {"", "{", "[{}]", "[1]", "[{\"index\": \"zero\"}]"}) EXPECT_FALSE(from_json(text)) << text;
}

TEST(GpusQuery, AServerThatIsNotThereIsNamed) {
  const auto gpus = query_gpus({.path = "/nonexistent/s"});
  ASSERT_FALSE(gpus);
  EXPECT_NE(gpus.error().message.find("unix:/nonexistent/s"), std::string::npos);
}

}  // namespace
}  // namespace nm::cmd
