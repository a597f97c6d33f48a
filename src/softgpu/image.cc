#include "softgpu/image.h"

#include <cctype>
#include <cstdlib>
#include <cstring>

#include "base/number.h"

#include "softgpu/identity.h"

namespace nm::softgpu {
namespace {

constexpr uint32_t kWrapperMagic = 0x466243b1, kFatMagic = 0xba55ed50;
constexpr unsigned kPtxMajor = 9, kPtxMinor = 0;
constexpr uint32_t kOwnSm = kComputeMajor * 10 + kComputeMinor;
constexpr uint64_t kLz4 = 0x2000, kZstd = 0x8000;
constexpr uint64_t kPart = 1ull << 62;  // ours: one of several texts that belong together

struct Wrapper {
  uint32_t magic, version;
  const void* data;
  const void* const* parts;  // version 2: fat binaries that were linked, up to a null
};
struct FatHeader {
  uint32_t magic;
  uint16_t version, header_bytes;
  uint64_t bytes;
};
struct EntryHeader {
  uint16_t kind, unknown;
  uint32_t header_bytes;
  uint64_t stored_bytes;      // with padding
  uint32_t compressed_bytes;  // zero: not compressed
  uint32_t unknown2, unknown3;
  uint32_t sm;
  uint32_t unknown4, unknown5;
  uint64_t flags, unknown6;
  uint64_t full_bytes;
};
static_assert(sizeof(EntryHeader) == 64);

Image fail_with(CUresult result, std::string log) { return {result, {}, std::move(log)}; }

Result<std::string> text_of(const EntryHeader& entry, const uint8_t* data) {
  if (entry.flags & kLz4) return decompress_lz4(data, entry.compressed_bytes, entry.full_bytes);
  if (entry.flags & kZstd) return decompress_zstd(data, entry.compressed_bytes, entry.full_bytes);
  return std::string(reinterpret_cast<const char*>(data), entry.stored_bytes);
}

Image read_fat_binary(const uint8_t* at) {
  FatHeader fat;
  std::memcpy(&fat, at, sizeof fat);
  const uint8_t* const end = at + fat.header_bytes + fat.bytes;
  const uint8_t* best = nullptr;
  uint32_t best_sm = 0;
  bool cubin = false, newer = false;
  Image parts;
  for (const uint8_t* p = at + fat.header_bytes; p + sizeof(EntryHeader) <= end;) {
    EntryHeader entry;
    std::memcpy(&entry, p, sizeof entry);
    if (entry.header_bytes < sizeof entry || entry.header_bytes > static_cast<size_t>(end - p) ||
        entry.stored_bytes > static_cast<size_t>(end - p) - entry.header_bytes) {
      return fail_with(CUDA_ERROR_INVALID_IMAGE, "The fat binary is damaged: an entry reaches behind its end.\n");
    }
    if (entry.flags & kPart) {
      parts.texts.emplace_back(reinterpret_cast<const char*>(p) + entry.header_bytes, entry.full_bytes);
    }
    cubin = cubin || entry.kind == 2;
    newer = newer || (entry.kind == 1 && entry.sm > kOwnSm);
    if (entry.kind == 1 && entry.sm <= kOwnSm && entry.sm >= best_sm) {
      best = p;
      best_sm = entry.sm;
    }
    p += entry.header_bytes + entry.stored_bytes;
  }
  if (!parts.texts.empty()) return parts;
  if (!best) {
    return fail_with(CUDA_ERROR_NO_BINARY_FOR_GPU,
                     newer   ? "The fat binary holds PTX for newer devices only; the software GPU is sm_90.\n"
                     : cubin ? "The fat binary holds machine code only; the software GPU runs PTX. Compile with "
                               "-gencode arch=compute_75,code=compute_75 to include it.\n"
                             : "The fat binary holds no code.\n");
  }
  EntryHeader entry;
  std::memcpy(&entry, best, sizeof entry);
  auto text = text_of(entry, best + entry.header_bytes);
  if (!text) return fail_with(CUDA_ERROR_INVALID_IMAGE, text.error().message + "\n");
  Image image;
  image.texts.push_back(std::move(*text));
  return image;
}

// The number behind the first occurrence of `word` at the start of a directive; zero: not there.
const char* after(const std::string& text, const char* word) {
  const size_t at = text.find(word);
  return at == std::string::npos ? nullptr : text.c_str() + at + std::strlen(word);
}

}  // namespace

Image read_image(const void* data) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  uint32_t magic = 0;
  // A text may be shorter than a magic number.
  if (bytes[0] != 0 && bytes[1] != 0 && bytes[2] != 0) std::memcpy(&magic, bytes, 4);
  if (magic == kWrapperMagic) {
    Wrapper wrapper;
    std::memcpy(&wrapper, bytes, sizeof wrapper);
    if (wrapper.version == 2 && wrapper.parts && wrapper.parts[0]) {
      Image all;
      for (const void* const* part = wrapper.parts; *part; ++part) {
        Image one = read_image(*part);
        if (one.result != CUDA_SUCCESS) return one;
        for (auto& text : one.texts) all.texts.push_back(std::move(text));
      }
      return all;
    }
    return wrapper.data ? read_image(wrapper.data) : fail_with(CUDA_ERROR_INVALID_IMAGE, "The wrapper is empty.\n");
  }
  if (magic == kFatMagic) return read_fat_binary(bytes);
  if (std::memcmp(&magic, "\177ELF", 4) == 0) {
    return fail_with(CUDA_ERROR_NO_BINARY_FOR_GPU,
                     "The image is machine code (a cubin); the software GPU runs PTX only.\n");
  }
  Image image;
  image.texts.emplace_back(reinterpret_cast<const char*>(bytes));
  if (image.texts[0].find(".version") == std::string::npos) {
    return fail_with(CUDA_ERROR_INVALID_IMAGE, "The image is neither PTX (no .version) nor a fat binary.\n");
  }
  return image;
}

std::string bundle_texts(const std::vector<std::string>& texts) {
  std::string body;
  for (const auto& text : texts) {
    EntryHeader entry = {};
    entry.kind = 1;
    entry.unknown = 0x101;
    entry.header_bytes = sizeof entry;
    entry.stored_bytes = (text.size() + 8) / 8 * 8;  // at least one NUL behind the text
    entry.sm = kOwnSm;
    entry.flags = kPart;
    entry.full_bytes = text.size();
    body.append(reinterpret_cast<const char*>(&entry), sizeof entry);
    body.append(text);
    body.append(entry.stored_bytes - text.size(), 0);
  }
  const FatHeader header{kFatMagic, 1, sizeof header, body.size()};
  return std::string(reinterpret_cast<const char*>(&header), sizeof header) + body;
}

CUresult check_ptx_header(const std::string& text, std::string& log) {
  if (const char* version = after(text, ".version")) {
    std::string_view rest = version;
    unsigned long major = 0, minor = 0;
    take_number(&rest, &major);
    if (take_char(&rest, '.')) take_number(&rest, &minor);
    if (major > kPtxMajor || (major == kPtxMajor && minor > kPtxMinor)) {
      log += "PTX .version " + std::to_string(major) + "." + std::to_string(minor) +
             " is newer than this compiler, which reads up to 9.0.\n";
      return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
    }
  }
  if (const char* target = after(text, ".target")) {
    while (std::isspace(static_cast<unsigned char>(*target))) ++target;
    const unsigned long sm = std::strncmp(target, "sm_", 3) == 0 ? number_or(target + 3, 0ul) : 0;
    if (sm > kOwnSm) {
      log += "PTX .target sm_" + std::to_string(sm) +
             " is newer than the device, which is sm_90.\n";
      return CUDA_ERROR_INVALID_PTX;
    }
  }
  return CUDA_SUCCESS;
}

}  // namespace nm::softgpu
