#include "wire/packed.h"

#include <lz4.h>

namespace nm::wire {

std::vector<uint8_t> pack(std::span<const uint8_t> bytes) {
  if (bytes.empty() || bytes.size() > LZ4_MAX_INPUT_SIZE) return {};
  std::vector<uint8_t> out(bytes.size() - bytes.size() / 8);
  const int size =
      LZ4_compress_default(reinterpret_cast<const char*>(bytes.data()), reinterpret_cast<char*>(out.data()),
                           static_cast<int>(bytes.size()), static_cast<int>(out.size()));
  if (size <= 0 || bytes.size() / kMostUnpacked > static_cast<size_t>(size)) return {};
  out.resize(static_cast<size_t>(size));
  return out;
}

std::optional<std::vector<uint8_t>> unpack(std::span<const uint8_t> packed, uint64_t full_size) {
  if (full_size == 0 || full_size > LZ4_MAX_INPUT_SIZE || packed.size() > full_size) return {};
  if (full_size / kMostUnpacked > packed.size()) return {};
  std::vector<uint8_t> out;
  out.reserve(full_size + 1);  // whoever loads it puts a zero behind it
  out.resize(full_size);
  const int size =
      LZ4_decompress_safe(reinterpret_cast<const char*>(packed.data()), reinterpret_cast<char*>(out.data()),
                          static_cast<int>(packed.size()), static_cast<int>(full_size));
  if (size != static_cast<int>(full_size)) return {};
  return out;
}

}  // namespace nm::wire
