#include "wire/image_name.h"

// The one-shot functions of OpenSSL 3 reach its whole library; these reach the compression function and nothing else.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <cstring>

namespace nm::wire {
namespace {

constexpr size_t kPieces = 128, kPiece = 64;

class Hash {
 public:
  Hash() { SHA256_Init(&state_); }
  Hash& add(const void* data, size_t size) {
    SHA256_Update(&state_, data, size);
    return *this;
  }
  Digest end() {
    Digest out;
    SHA256_Final(out.data(), &state_);
    return out;
  }

 private:
  SHA256_CTX state_;
};

}  // namespace

Digest image_name(std::span<const uint8_t> image) { return Hash().add(image.data(), image.size()).end(); }

std::string text_of(const Digest& digest) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (uint8_t byte : digest) text += {kDigits[byte >> 4], kDigits[byte & 15]};
  return text;
}

Digest image_proof(const Token& session, const Digest& name, std::span<const uint8_t> image) {
  Hash proof;
  proof.add(&session, sizeof session).add(name.data(), name.size());
  if (image.size() < kPiece) return proof.add(image.data(), image.size()).end();
  for (uint64_t i = 0; i < kPieces;) {
    const Digest places = Hash().add(&session, sizeof session).add(name.data(), name.size()).add(&i, sizeof i).end();
    for (size_t at = 0; at < places.size(); at += sizeof(uint64_t), i++) {
      uint64_t place;
      std::memcpy(&place, places.data() + at, sizeof place);
      proof.add(image.data() + place % (image.size() - kPiece + 1), kPiece);
    }
  }
  return proof.end();
}

}  // namespace nm::wire
