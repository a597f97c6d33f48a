#include "workload/shoc/md5.h"

#include <gtest/gtest.h>

#include <string>

namespace nm::workload::shoc {
namespace {

std::string hex_of(std::string_view message) {
  const std::array<uint32_t, 4> digest = md5({reinterpret_cast<const uint8_t*>(message.data()), message.size()});
  std::string hex;
  for (const uint32_t word : digest) {
    for (int shift = 0; shift < 32; shift += 8) {
      char text[3];
      std::snprintf(text, sizeof text, "%02x", word >> shift & 0xff);
      hex += text;
    }
  }
  return hex;
}

// RFC 1321's own examples.
TEST(Md5, AgreesWithTheStandard) {
  EXPECT_EQ(hex_of(""), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(hex_of("a"), "0cc175b9c0f1b6a831c399e269772661");
  EXPECT_EQ(hex_of("abc"), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(hex_of("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
  EXPECT_EQ(hex_of("abcdefghijklmnopqrstuvwxyz"), "c3fcd3d76192e4007dfb496cca67e13b");
}

}  // namespace
}  // namespace nm::workload::shoc
