// Kernel images as programs hand them over: by pointer, without a length, in four forms.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nm::client {

struct Image {
  const void* data = nullptr;  // null: not an image we know
  size_t size = 0;             // bytes
  bool wrapped = false;        // came in the compiler's wrapper: {magic, version, pointer to the fat binary, ...}
};

// A wrapper, a fat binary, an ELF file, or NUL-terminated PTX.
Image measure_image(const void* image);

}  // namespace nm::client
