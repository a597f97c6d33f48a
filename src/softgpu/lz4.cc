// A raw LZ4 block: tokens of literals and matches.
#include "softgpu/image.h"

namespace nm::softgpu {

Result<std::string> decompress_lz4(const uint8_t* data, size_t bytes, size_t result_bytes) {
  const Error damaged{"An LZ4 entry of the fat binary is damaged."};
  std::string out;
  out.reserve(result_bytes);
  const uint8_t* p = data;
  const uint8_t* const end = data + bytes;
  // Adds the bytes that extend a length of 15; false at the end of the data.
  const auto extend = [&](size_t& length) {
    for (uint8_t more = 255; more == 255;) {
      if (p == end) return false;
      more = *p++;
      length += more;
    }
    return true;
  };
  while (p < end) {
    const uint8_t token = *p++;
    size_t literals = token >> 4;
    if (literals == 15 && !extend(literals)) return damaged;
    if (literals > static_cast<size_t>(end - p) || out.size() + literals > result_bytes) return damaged;
    out.append(reinterpret_cast<const char*>(p), literals);
    p += literals;
    if (p == end) break;  // the last sequence has no match
    if (end - p < 2) return damaged;
    const size_t distance = p[0] | static_cast<size_t>(p[1]) << 8;
    p += 2;
    size_t length = token & 15;
    if (length == 15 && !extend(length)) return damaged;
    length += 4;
    if (distance == 0 || distance > out.size() || out.size() + length > result_bytes) return damaged;
    for (size_t i = 0; i < length; ++i) out.push_back(out[out.size() - distance]);  // may overlap itself
  }
  if (out.size() != result_bytes) return damaged;
  return out;
}

}  // namespace nm::softgpu
