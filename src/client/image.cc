#include "client/image.h"

#include <elf.h>
#include <string.h>

#include <algorithm>

namespace nm::client {
namespace {

constexpr uint32_t kWrapperMagic = 0x466243b1, kFatbinMagic = 0xba55ed50;

struct Wrapper {
  uint32_t magic, version;
  const void* fatbin;
  const void* more;
};

struct FatbinHeader {
  uint32_t magic;
  uint16_t version, header_size;
  uint64_t payload_size;
};

size_t elf_size(const void* data) {
  Elf64_Ehdr header;
  memcpy(&header, data, sizeof header);
  if (header.e_ident[EI_CLASS] != ELFCLASS64) return 0;
  auto* bytes = static_cast<const uint8_t*>(data);
  // The program stands behind its own image, so offsets in it are as good as the pointer we were given.
  uint64_t end = std::max<uint64_t>(header.e_ehsize, header.e_shoff + uint64_t{header.e_shnum} * header.e_shentsize);
  end = std::max<uint64_t>(end, header.e_phoff + uint64_t{header.e_phnum} * header.e_phentsize);
  for (int i = 0; i < header.e_shnum; i++) {
    Elf64_Shdr section;
    memcpy(&section, bytes + header.e_shoff + uint64_t{header.e_shentsize} * i, sizeof section);
    if (section.sh_type != SHT_NOBITS) end = std::max<uint64_t>(end, section.sh_offset + section.sh_size);
  }
  return end;
}

}  // namespace

Image measure_image(const void* image) {
  if (!image) return {};
  uint32_t magic;
  memcpy(&magic, image, sizeof magic);
  if (magic == kWrapperMagic) {
    Wrapper wrapper;
    memcpy(&wrapper, image, sizeof wrapper);
    Image inner = measure_image(wrapper.fatbin);
    inner.wrapped = inner.data != nullptr;
    return inner;
  }
  if (magic == kFatbinMagic) {
    FatbinHeader header;
    memcpy(&header, image, sizeof header);
    return {image, header.header_size + header.payload_size};
  }
  if (memcmp(image, ELFMAG, SELFMAG) == 0) {
    size_t size = elf_size(image);
    return size ? Image{image, size} : Image{};
  }
  return {image, strlen(static_cast<const char*>(image)) + 1};
}

}  // namespace nm::client
