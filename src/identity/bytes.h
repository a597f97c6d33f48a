// Bytes as text and back, random ones, and their hash.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nm::identity {

using Hash = std::array<uint8_t, 32>;

Hash sha256(std::string_view bytes);
std::string hex(std::string_view bytes);
inline std::string hex(const Hash& hash) { return hex({reinterpret_cast<const char*>(hash.data()), hash.size()}); }
// Lower-case digits in pairs only.
std::optional<std::string> from_hex(std::string_view text);
// Without padding, with - and _: fits into a word on a command line (RFC 4648, section 5).
std::string base64url(std::string_view bytes);
// Only what base64url() would have written.
std::optional<std::string> from_base64url(std::string_view text);
// From the kernel. Ends the process where it gives none: nothing here may go on with bytes that can be guessed.
std::string random_bytes(size_t size);
// Takes as long whatever differs.
bool same_secret(std::string_view a, std::string_view b);

}  // namespace nm::identity
