// Kernel images by content: the name under which a server keeps one, and what a client shows to be given it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "wire/hello.h"

namespace nm::wire {

using Digest = std::array<uint8_t, 32>;  // SHA-256

// The name of an image: the SHA-256 of its bytes.
Digest image_name(std::span<const uint8_t> image);
// 64 lower-case hexadecimal digits.
std::string text_of(const Digest& digest);

// Who knows no more than an image's name cannot make this: it covers 128 pieces of 64 bytes, at places that the
// session's token chooses. Images of less than 64 bytes are covered whole.
Digest image_proof(const Token& session, const Digest& name, std::span<const uint8_t> image);

}  // namespace nm::wire
