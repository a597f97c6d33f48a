#include "server/image.h"

#include <string.h>

namespace nm::server {
namespace {

// A fat binary: a header, then entries with a header each. The layout is public in many readers of it.
constexpr uint32_t kFatbinary = 0xba55ed50;
constexpr size_t kHeaderSizeAt = 6, kEntryHeaderSizeAt = 4, kEntryPayloadAt = 8, kEntryFlagsAt = 40;
constexpr uint64_t kCompressed = 0x2000 | 0x8000;  // with LZ4, with Zstandard

template <typename T>
bool field(std::span<const uint8_t> in, size_t at, T* out) {
  if (at > in.size() || in.size() - at < sizeof *out) return false;
  memcpy(out, in.data() + at, sizeof *out);
  return true;
}

bool has_compressed_entry(std::span<const uint8_t> image) {
  uint16_t header;
  if (!field(image, kHeaderSizeAt, &header)) return true;
  for (size_t at = header; at < image.size();) {
    uint32_t entry_header;
    uint64_t payload, flags;
    auto entry = image.subspan(at);
    // What follows the last entry is padding.
    if (!field(entry, kEntryHeaderSizeAt, &entry_header) || !field(entry, kEntryPayloadAt, &payload)) return false;
    if (entry_header < kEntryFlagsAt + sizeof flags || payload > entry.size() || entry_header > entry.size() - payload)
      return false;
    if (!field(entry, kEntryFlagsAt, &flags) || flags & kCompressed) return true;
    at += entry_header + payload;
  }
  return false;
}

}  // namespace

bool image_may_print(std::span<const uint8_t> image) {
  constexpr char kPrint[] = "vprintf";
  if (memmem(image.data(), image.size(), kPrint, sizeof kPrint - 1)) return true;
  uint32_t magic;
  return field(image, 0, &magic) && magic == kFatbinary && has_compressed_entry(image);
}

}  // namespace nm::server
