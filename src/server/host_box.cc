#include "server/host_box.h"

#include "server/session.h"

namespace nm::server {
namespace {

// One end of a copy.
struct End {
  CUmemorytype type;
  const void* host;
  size_t x, y, z, pitch, height;
};

// From the base to the last byte that the box touches; false: it is nothing, or more than anything can hold.
bool reach(const CUDA_MEMCPY3D_PEER& c, const End& end, uint64_t* bytes) {
  if (!c.WidthInBytes || !c.Height || !c.Depth) return false;
  for (size_t value : {c.WidthInBytes, c.Height, c.Depth, end.x, end.y, end.z, end.pitch, end.height}) {
    if (value > wire::kMaxBulk) return false;
  }
  unsigned __int128 row = end.pitch ? end.pitch : end.x + c.WidthInBytes;
  unsigned __int128 rows = end.height ? end.height : end.y + c.Height;
  unsigned __int128 slices = ((end.z + c.Depth - 1) * rows + end.y + c.Height - 1);
  if (slices > wire::kMaxBulk) return false;
  unsigned __int128 last = slices * row + end.x + c.WidthInBytes;
  if (last > wire::kMaxBulk) return false;
  *bytes = static_cast<uint64_t>(last);
  return true;
}

bool is_shared(Session& s, const CUDA_MEMCPY3D_PEER& c, const End& end) {
  if (end.type == CU_MEMORYTYPE_DEVICE || end.type == CU_MEMORYTYPE_ARRAY) return true;
  uint64_t bytes;
  if (end.type != CU_MEMORYTYPE_HOST || !reach(c, end, &bytes)) return false;
  return s.host_ranges().find(reinterpret_cast<uint64_t>(end.host), bytes) == end.host;
}

}  // namespace

bool source_is_shared(Session& s, const CUDA_MEMCPY3D_PEER& c) {
  return is_shared(s, c, {c.srcMemoryType, c.srcHost, c.srcXInBytes, c.srcY, c.srcZ, c.srcPitch, c.srcHeight});
}

bool destination_is_shared(Session& s, const CUDA_MEMCPY3D_PEER& c) {
  return is_shared(s, c, {c.dstMemoryType, c.dstHost, c.dstXInBytes, c.dstY, c.dstZ, c.dstPitch, c.dstHeight});
}

}  // namespace nm::server
