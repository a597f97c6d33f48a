#include "cmd/yaml.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace nm::cmd {
namespace {

TEST(Yaml, NestsListsAndObjects) {
  const auto value = nlohmann::ordered_json::parse(
      R"({"gpus": [{"pci": "0000:01:00.0", "bars": [1, 2], "none": null}, {"pci": "yes"}], "empty": [], "on": true})");
  EXPECT_EQ(to_yaml(value),
            "gpus:\n"
            "  - pci: \"0000:01:00.0\"\n"
            "    bars:\n"
            "      - 1\n"
            "      - 2\n"
            "    none: null\n"
            "  - pci: \"yes\"\n"
            "empty: []\n"
            "on: true\n");
}

TEST(Yaml, AListInAListAndABareValue) {
  EXPECT_EQ(to_yaml(nlohmann::ordered_json::parse("[[1, 2], []]")), "- - 1\n  - 2\n- []\n");
  EXPECT_EQ(to_yaml(nlohmann::ordered_json("a \"b\"\n")), "\"a \\\"b\\\"\\n\"\n");
  EXPECT_EQ(to_yaml(nlohmann::ordered_json::object()), "{}\n");
}

TEST(Yaml, BytesThatAreNoTextAreReplaced) {
  EXPECT_EQ(to_text(nlohmann::ordered_json("\xff"), "yaml"), "\"\xef\xbf\xbd\"\n");
  EXPECT_EQ(to_text(nlohmann::ordered_json("\xff"), "json"), "\"\xef\xbf\xbd\"\n");
}

}  // namespace
}  // namespace nm::cmd
