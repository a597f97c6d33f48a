#include "server/staging.h"

#include <algorithm>
#include <bit>

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

CUresult Staging::take_whole(size_t size, CUcontext context, void** out) {
  // Of few sizes, so that one that was given back is likely to fit.
  const size_t bytes = size > kMaxSpare ? size : std::bit_ceil(std::max<size_t>(size, 1 << 20));
  auto spare =
      std::find_if(spare_whole_.begin(), spare_whole_.end(), [bytes](const Chunk& c) { return c.size == bytes; });
  Chunk chunk{nullptr, bytes, context};
  if (spare != spare_whole_.end()) {
    chunk = *spare;
    spare_whole_.erase(spare);
    spare_bytes_ -= bytes;
  } else if (CUresult e =
                 driver_.cuMemHostAlloc(reinterpret_cast<void**>(&chunk.data), bytes, CU_MEMHOSTALLOC_PORTABLE)) {
    return e;
  }
  used_whole_[chunk.data] = chunk;
  *out = chunk.data;
  return CUDA_SUCCESS;
}

void Staging::give_back_whole(void* data) {
  auto used = used_whole_.find(data);
  if (used == used_whole_.end()) return;  // its context is gone, and it with that
  const Chunk chunk = used->second;
  used_whole_.erase(used);
  if (spare_bytes_ + chunk.size > kMaxSpare) {
    driver_.cuMemFreeHost(chunk.data);
    return;
  }
  spare_whole_.push_back(chunk);
  spare_bytes_ += chunk.size;
}

void Staging::forget(CUcontext context) {
  auto gone = [context](const Chunk& c) { return c.context == context; };
  made_small_ -= std::erase_if(small_, gone);
  made_large_ -= std::erase_if(large_, gone);
  std::erase_if(spare_whole_, gone);
  std::erase_if(used_whole_, [&](const auto& u) { return gone(u.second); });
  spare_bytes_ = 0;
  for (const Chunk& c : spare_whole_) spare_bytes_ += c.size;
}

}  // namespace nm::server
