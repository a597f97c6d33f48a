#include "server/staging.h"

namespace nm::server {

CUresult Staging::take(size_t size, CUcontext context, Chunk* out) {
  bool is_small = size <= kSmall;
  auto& spare = is_small ? small_ : large_;
  if (!spare.empty()) {
    *out = spare.back();
    spare.pop_back();
    return CUDA_SUCCESS;
  }
  auto& made = is_small ? made_small_ : made_large_;
  if (made >= (is_small ? kMaxSmall : kMaxChunks)) return CUDA_ERROR_OUT_OF_MEMORY;
  // Portable: chunks serve whichever context comes next.
  void* data = nullptr;
  size_t bytes = is_small ? kSmall : kChunk;
  if (CUresult e = driver_.cuMemHostAlloc(&data, bytes, CU_MEMHOSTALLOC_PORTABLE)) return e;
  made++;
  *out = {static_cast<uint8_t*>(data), bytes, context};
  return CUDA_SUCCESS;
}

void Staging::give_back(const Chunk& chunk) { (chunk.size == kSmall ? small_ : large_).push_back(chunk); }

void Staging::forget(CUcontext context) {
  auto gone = [context](const Chunk& c) { return c.context == context; };
  made_small_ -= std::erase_if(small_, gone);
  made_large_ -= std::erase_if(large_, gone);
}

}  // namespace nm::server
