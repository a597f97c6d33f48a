#include "softgpu/image.h"

namespace nm::softgpu {

Result<std::string> decompress_zstd(const uint8_t*, size_t, size_t) {
  return Error{
      "The fat binary is compressed with zstd, which the software GPU does not read; build with -compress-mode=speed."};
}

}  // namespace nm::softgpu
