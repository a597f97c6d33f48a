#include "softgpu/ptx/exec.h"

#include <sys/mman.h>

#include <cstdlib>

namespace nm::softgpu::ptx {

AlignedBytes::AlignedBytes(size_t bytes) {
  size_ = (bytes + 127) / 64 * 64;
  data_ = static_cast<char*>(std::aligned_alloc(64, size_));
  if (data_ != nullptr)
    std::memset(data_, 0, size_);
  else
    size_ = 0;
}
AlignedBytes::~AlignedBytes() { std::free(data_); }

Block::~Block() {
  if (local != nullptr) ::munmap(local, local_bytes);
}

}  // namespace nm::softgpu::ptx
