#include "server/image.h"

#include <gtest/gtest.h>
#include <string.h>

#include <string>
#include <vector>

namespace nm::server {
namespace {

std::vector<uint8_t> bytes(const std::string& text) { return {text.begin(), text.end()}; }

// One entry of `payload` with `flags`, in a fat binary.
std::vector<uint8_t> fat(uint64_t flags, const std::string& payload) {
  std::vector<uint8_t> out(16 + 64);
  uint32_t magic = 0xba55ed50, entry_header = 64;
  uint16_t version = 1, header = 16;
  uint64_t size = payload.size(), all = 64 + size;
  memcpy(out.data(), &magic, 4), memcpy(out.data() + 4, &version, 2), memcpy(out.data() + 6, &header, 2);
  memcpy(out.data() + 8, &all, 8), memcpy(out.data() + 20, &entry_header, 4), memcpy(out.data() + 24, &size, 8);
  memcpy(out.data() + 56, &flags, 8);
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

TEST(Image, TextThatCallsVprintfMayPrint) {
  EXPECT_TRUE(image_may_print(bytes(".version 7.5\n.extern .func (.param .b32 r) vprintf(...)")));
  EXPECT_FALSE(image_may_print(bytes(".version 7.5\n.visible .entry k() { ret; }")));
}

TEST(Image, FatBinariesAreSearchedAndCompressedOnesMayHideIt) {
  EXPECT_FALSE(image_may_print(fat(0x11, "nothing of the kind")));
  EXPECT_TRUE(image_may_print(fat(0x11, "calls vprintf here")));
  EXPECT_TRUE(image_may_print(fat(0x2011, "compressed")));
  EXPECT_TRUE(image_may_print(fat(0x8011, "compressed")));
}

TEST(Image, EndsThatAreCutOffAreNotReadBeyond) {
  auto whole = fat(0x11, "payload");
  for (size_t n = 0; n < whole.size(); n++) {
    std::vector<uint8_t> part(whole.begin(), whole.begin() + static_cast<long>(n));
    image_may_print(part);
  }
  EXPECT_FALSE(image_may_print({}));
}

}  // namespace
}  // namespace nm::server
