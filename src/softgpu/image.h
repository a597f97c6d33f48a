// Device code as a program hands it over, without a length: PTX text, a fat binary, a wrapper around one, or a cubin.
#pragma once

#include <cuda_abi.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace nm::softgpu {

struct Image {
  CUresult result = CUDA_SUCCESS;
  std::vector<std::string> texts;  // PTX, more than one where prelinked parts are listed
  std::string log;                 // why there is none, a sentence
};

// `image` must not be null. Reads as far as the image's own headers say.
Image read_image(const void* image);
// A fat binary, uncompressed, whose texts read_image() gives back together: what linking makes.
std::string bundle_texts(const std::vector<std::string>& texts);
// INVALID_PTX or UNSUPPORTED_PTX_VERSION, with a log, when the text asks for a newer device or compiler.
CUresult check_ptx_header(const std::string& text, std::string& log);

// Of one entry of a fat binary. The size of the result is known beforehand.
Result<std::string> decompress_lz4(const uint8_t* data, size_t bytes, size_t result_bytes);
Result<std::string> decompress_zstd(const uint8_t* data, size_t bytes, size_t result_bytes);

}  // namespace nm::softgpu
