#include "wire/image_name.h"

#include <gtest/gtest.h>

#include <vector>

namespace nm::wire {
namespace {

std::vector<uint8_t> image_of(size_t size) {
  std::vector<uint8_t> image(size);
  uint32_t state = 7;
  for (uint8_t& byte : image) byte = static_cast<uint8_t>((state = state * 1664525 + 1013904223) >> 24);
  return image;
}

TEST(ImageName, IsTheSha256ThatOthersCompute) {
  const std::string text = "abc";
  const std::span bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  EXPECT_EQ(text_of(image_name(bytes)), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(text_of(image_name({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(ImageName, AProofBelongsToASessionAndAnImage) {
  const auto image = image_of(100'000);
  const Digest name = image_name(image);
  const Token one{{1, 2}}, other{{1, 3}};
  EXPECT_EQ(image_proof(one, name, image), image_proof(one, name, image));
  EXPECT_NE(image_proof(one, name, image), image_proof(other, name, image)) << "heard in one session, said in another";
  auto half = image;
  std::fill(half.begin() + 50'000, half.end(), 0);
  EXPECT_NE(image_proof(one, name, image), image_proof(one, name, half)) << "the name and half of the bytes";
}

TEST(ImageName, ImagesOfAnySizeHaveAProof) {
  const Token session{{3, 4}};
  for (size_t size : {0, 1, 63, 64, 65, 200}) {
    auto image = image_of(size);
    const Digest name = image_name(image), proof = image_proof(session, name, image);
    if (!size) continue;
    for (uint8_t& byte : image) byte ^= 1;
    EXPECT_NE(proof, image_proof(session, name, image)) << size;
  }
}

}  // namespace
}  // namespace nm::wire
