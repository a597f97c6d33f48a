// What a server says of a kernel, held to what a kernel can be: a launch reads the program's memory by it.
#include "wire/facts.h"

#include <gtest/gtest.h>

namespace nm::wire {
namespace {

using Parameters = std::vector<std::array<uint64_t, 2>>;

bool taken(const Parameters& parameters) {
  FunctionFacts said, heard;
  said.name = "kernel";
  said.parameters = parameters;
  said.attribute_result.assign(3, 0);
  said.attribute_value.assign(3, 7);
  std::vector<uint8_t> bytes;
  Writer out(bytes);
  write_function_facts(said, out);
  Reader in(bytes);
  if (!read_function_facts(in, &heard)) return false;
  EXPECT_EQ(heard.parameters, parameters);
  EXPECT_EQ(heard.name, "kernel");
  EXPECT_EQ(heard.attribute_value, said.attribute_value);
  return true;
}

TEST(FunctionFacts, KernelsAsTheyAreComeAcross) {
  EXPECT_TRUE(taken({}));
  EXPECT_TRUE(taken({{0, 8}, {8, 4}, {16, 8}, {24, 1}}));
  EXPECT_TRUE(taken({{0, 32764}}));
  EXPECT_TRUE(taken({{0, 32760}, {32760, 4}}));
  Parameters most;
  for (uint64_t i = 0; i < kMaxParameters; i++) most.push_back({4 * i, 4});
  EXPECT_TRUE(taken(most));
}

TEST(FunctionFacts, MoreParametersThanAKernelHas) {
  Parameters many(kMaxParameters + 1, {0, 0});
  EXPECT_FALSE(taken(many));
}

TEST(FunctionFacts, ABlockBeyondWhatAKernelTakes) {
  EXPECT_FALSE(taken({{0, 32765}}));
  EXPECT_FALSE(taken({{0, 8}, {32760, 8}}));
  EXPECT_FALSE(taken({{32765, 0}}));
  EXPECT_FALSE(taken({{~0ull, 8}}));
  EXPECT_FALSE(taken({{8, ~0ull - 4}}));
}

TEST(FunctionFacts, ParametersInOneAnotherOrBackwards) {
  EXPECT_FALSE(taken({{0, 8}, {4, 8}}));
  EXPECT_FALSE(taken({{8, 8}, {0, 8}}));
  EXPECT_FALSE(taken({{0, 8}, {0, 8}}));
}

TEST(FunctionFacts, PiecesOfAParameterAndAttributesWithoutResults) {
  std::vector<uint8_t> bytes;
  Writer out(bytes);
  out.string("kernel");
  out.bytes("123456789012", 12);  // not a pair of numbers
  out.bytes("", 0);
  out.bytes("", 0);
  FunctionFacts heard;
  Reader torn(bytes);
  EXPECT_FALSE(read_function_facts(torn, &heard));

  bytes.clear();
  out.string("kernel");
  out.bytes("", 0);
  out.bytes("1234", 4);
  out.bytes("", 0);
  Reader uneven(bytes);
  EXPECT_FALSE(read_function_facts(uneven, &heard));
}

}  // namespace
}  // namespace nm::wire
