// Copies between the device and bytes that travel: through pinned chunks, in stream order, without waiting.
#include <algorithm>
#include <cstring>
#include <memory>

#include "server/copy_ops.h"
#include "server/graph_slots.h"
#include "server/host_box.h"
#include "server/session.h"
#include "server/sync_ops.h"
#include "server_args.h"
#include "wire/copy_3d.h"

namespace nm::server {
namespace {

// Up to this size the driver takes the bytes at the call and needs no staging.
constexpr size_t kInline = 4 << 10;
// Up to 24 KiB, as measured with driver 580; others may have another limit.
constexpr size_t kReadAtOnce = 64 << 10;

struct Parts {
  std::vector<Staging::Chunk> chunks;
  std::vector<std::span<const uint8_t>> bytes;
};

void give_back(Session& s, Parts& parts) {
  for (auto& c : parts.chunks) s.staging().give_back(c);
  parts.chunks.clear();
}

CUDA_MEMCPY3D_PEER host_side(CUDA_MEMCPY3D_PEER c, void* packed, bool to_device) {
  if (to_device) {
    c.srcMemoryType = CU_MEMORYTYPE_HOST;
    c.srcHost = packed;
    c.srcXInBytes = c.srcY = c.srcZ = 0;
    c.srcPitch = c.WidthInBytes;
    c.srcHeight = c.Height;
    c.srcArray = nullptr;
  } else {
    c.dstMemoryType = CU_MEMORYTYPE_HOST;
    c.dstHost = packed;
    c.dstXInBytes = c.dstY = c.dstZ = 0;
    c.dstPitch = c.WidthInBytes;
    c.dstHeight = c.Height;
    c.dstArray = nullptr;
  }
  return c;
}

bool size_fits(const CUDA_MEMCPY3D_PEER& c, uint64_t size) {
  if (!c.WidthInBytes || !c.Height || !c.Depth || c.WidthInBytes > wire::kMaxBulk / c.Height / c.Depth) return false;
  return c.WidthInBytes * c.Height * c.Depth == size;
}

}  // namespace

CUresult take_chunk(Session& s, size_t size, Staging::Chunk* out) {
  RelaxedCapture relaxed(s.driver());
  for (;;) {
    CUresult e = s.staging().take(size, s.context(), out);
    if (e != CUDA_ERROR_OUT_OF_MEMORY) return e;
    if (s.completions().empty() && !s.lane_memory().under_way()) return e;
    const CUcontext context = s.context();
    s.completions().progress();
    s.lane_memory().collect(s.staging());
    if (!s.connection().flush()) return e;
    // What was asked about may have been in other contexts, and the chunk and the copy belong to this one.
    if (s.context() != context) e = s.enter(context);
    if (e != CUDA_SUCCESS && e != CUDA_ERROR_OUT_OF_MEMORY) return e;
  }
}

CUresult pinned(Session& s, size_t size, void** out) {
  RelaxedCapture relaxed(s.driver());
  return s.staging().take_whole(size, s.context(), out);
}
void unpin(Session& s, void* data) {
  RelaxedCapture relaxed(s.driver());
  s.staging().give_back_whole(data);
}

CUresult order_small_copy(Session& s, size_t size, CUstream stream) {
  if (size > kReadAtOnce || !s.is_blocking(stream)) return CUDA_SUCCESS;
  if (s.any_capture()) {
    // A graph's copies are in order, and events of ours are none of a capture's business.
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_ACTIVE;
    if (s.driver().cuStreamIsCapturing(stream, &status) != CUDA_SUCCESS || status != CU_STREAM_CAPTURE_STATUS_NONE)
      return CUDA_SUCCESS;
  }
  const bool is_legacy = !stream || stream == reinterpret_cast<CUstream>(1);
  return s.completions().occupy(s.context(), stream, !is_legacy);
}

CUresult submit_copy3d(Session& s, const CUDA_MEMCPY3D_PEER& c, CUstream stream, bool peer) {
  if (peer) return s.driver().cuMemcpy3DPeerAsync(&c, stream);
  const auto n = wire::copy_3d_as<CUDA_MEMCPY3D>(c);
  return s.driver().cuMemcpy3DAsync_v2(&n, stream);
}

namespace hand {

CUresult nm_copy_in(Session& s, args::nm_copy_in& a, outs::nm_copy_in&) {
  if (a.size != s.record().bulk) return CUDA_ERROR_INVALID_VALUE;
  if (a.size <= kInline) {
    uint8_t bytes[kInline];
    if (!s.read_bulk(bytes, a.size)) return CUDA_ERROR_UNKNOWN;
    return s.driver().cuMemcpyHtoDAsync_v2(a.dst, bytes, a.size, a.stream);
  }
  for (uint64_t done = 0; done < a.size;) {
    size_t n = std::min<uint64_t>(a.size - done, Staging::kChunk);
    Staging::Chunk chunk;
    if (CUresult e = take_chunk(s, n, &chunk)) return e;
    n = std::min(n, chunk.size);
    if (!s.read_bulk(chunk.data, n)) return CUDA_ERROR_UNKNOWN;
    CUresult e = s.driver().cuMemcpyHtoDAsync_v2(a.dst + done, chunk.data, n, a.stream);
    if (e == CUDA_SUCCESS) {
      e = s.completions().after(s.context(), a.stream, [&s, chunk, context = s.record().context](CUresult result) {
        s.staging().give_back(chunk);
        if (result != CUDA_SUCCESS) s.keep_error(context, result);
      });
    }
    if (e != CUDA_SUCCESS) {
      s.staging().give_back(chunk);
      return e;
    }
    done += n;
  }
  return CUDA_SUCCESS;
}

CUresult nm_copy_out(Session& s, args::nm_copy_out& a, outs::nm_copy_out&) {
  if (a.size > wire::kMaxBulk) return CUDA_ERROR_INVALID_VALUE;
  auto parts = std::make_shared<Parts>();
  void* whole = nullptr;
  constexpr uint64_t kThroughChunks = 16 * Staging::kChunk;
  if (a.size > kThroughChunks) {
    // One buffer for all of it: the reply is sent only when every byte is known to be right.
    if (CUresult e = pinned(s, a.size, &whole)) return e;
    parts->bytes.push_back({static_cast<uint8_t*>(whole), a.size});
    if (CUresult e = s.driver().cuMemcpyDtoHAsync_v2(whole, a.src, a.size, a.stream)) {
      unpin(s, whole);
      return e;
    }
  } else {
    for (uint64_t done = 0; done < a.size;) {
      size_t n = std::min<uint64_t>(a.size - done, Staging::kChunk);
      Staging::Chunk chunk;
      if (CUresult e = take_chunk(s, n, &chunk)) {
        give_back(s, *parts);
        return e;
      }
      n = std::min(n, chunk.size);
      parts->chunks.push_back(chunk);
      parts->bytes.push_back({chunk.data, n});
      if (CUresult e = s.driver().cuMemcpyDtoHAsync_v2(chunk.data, a.src + done, n, a.stream)) {
        give_back(s, *parts);
        return e;
      }
      done += n;
    }
  }
  auto later = s.later();
  auto release = [&s, parts, whole] {
    give_back(s, *parts);
    if (whole) unpin(s, whole);
  };
  auto done = [&s, later, parts, release, context = s.context(), stream = a.stream](CUresult result) {
    result = synchronise_idle(s, context, stream, result);  // a program need not ask for more than it has
    if (result == CUDA_SUCCESS) {
      s.reply(later, result, {}, parts->bytes, release);
    } else {
      s.reply(later, result);
      release();
    }
  };
  CUresult e = CUDA_SUCCESS;
  if (s.any_capture())
    e = s.completions().after(s.context(), a.stream, done);
  else
    s.completions().when_idle(s.context(), {a.stream}, done);
  if (e != CUDA_SUCCESS) {
    release();
    return e;
  }
  return kDeferred;
}

CUresult nm_copy_host(Session& s, args::nm_copy_host& a, outs::nm_copy_host&) {
  // The host end must be memory that the client shared: no other address of this process is its business.
  uint64_t host = a.to_device ? a.src : a.dst;
  uint8_t* here = s.host_ranges().find(host, a.size);
  if (!here) return CUDA_ERROR_INVALID_VALUE;
  if (!a.to_device) return s.driver().cuMemcpyDtoHAsync_v2(here, a.src, a.size, a.stream);
  if (CUresult e = order_small_copy(s, a.size, a.stream)) return e;
  return s.driver().cuMemcpyHtoDAsync_v2(a.dst, here, a.size, a.stream);
}

CUresult nm_stage(Session& s, args::nm_stage& a, outs::nm_stage&) {
  const DriverTable& d = s.driver();
  if (!d.cuStreamWriteValue32_v2) return CUDA_ERROR_NOT_SUPPORTED;
  uint8_t* here = s.host_ranges().find(a.host, a.size);
  uint8_t* mark = s.host_ranges().find(a.mark, sizeof(uint32_t));
  if (!here || !mark || a.mark % sizeof(uint32_t)) return CUDA_ERROR_INVALID_VALUE;
  CUresult e = CUDA_SUCCESS;
  if (a.size && a.to_device)
    e = d.cuMemcpyHtoDAsync_v2(a.device, here, a.size, a.stream);
  else if (a.size)
    e = d.cuMemcpyDtoHAsync_v2(here, a.device, a.size, a.stream);
  return e == CUDA_SUCCESS ? d.cuStreamWriteValue32_v2(a.stream, reinterpret_cast<CUdeviceptr>(mark), a.value, 0) : e;
}

CUresult nm_copy3d(Session& s, args::nm_copy3d& a, outs::nm_copy3d&) {
  // A host end must be memory that the client shared, as above.
  if (!source_is_shared(s, a.copy) || !destination_is_shared(s, a.copy)) return CUDA_ERROR_INVALID_VALUE;
  if (a.copy.WidthInBytes <= kReadAtOnce && a.copy.Height <= 1 && a.copy.Depth <= 1) {
    if (CUresult e = order_small_copy(s, a.copy.WidthInBytes, a.stream)) return e;
  }
  return submit_copy3d(s, a.copy, a.stream, a.peer);
}

CUresult nm_copy3d_in(Session& s, args::nm_copy3d_in& a, outs::nm_copy3d_in&) {
  if (!size_fits(a.copy, a.size) || a.size != s.record().bulk) return CUDA_ERROR_INVALID_VALUE;
  void* packed;
  if (CUresult e = pinned(s, a.size, &packed)) return e;
  CUresult e = s.read_bulk(packed, a.size) ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
  if (e == CUDA_SUCCESS) e = submit_copy3d(s, host_side(a.copy, packed, true), a.stream, false);
  if (e == CUDA_SUCCESS) {
    e = s.completions().after(s.context(), a.stream, [&s, packed](CUresult) { unpin(s, packed); });
  }
  if (e != CUDA_SUCCESS) unpin(s, packed);
  return e;
}

CUresult nm_copy3d_out(Session& s, args::nm_copy3d_out& a, outs::nm_copy3d_out&) {
  if (!size_fits(a.copy, a.size)) return CUDA_ERROR_INVALID_VALUE;
  void* packed;
  if (CUresult e = pinned(s, a.size, &packed)) return e;
  auto release = [&s, packed] { unpin(s, packed); };
  CUresult e = submit_copy3d(s, host_side(a.copy, packed, false), a.stream, false);
  auto later = s.later();
  if (e == CUDA_SUCCESS) {
    e = s.completions().after(s.context(), a.stream, [&s, later, packed, size = a.size, release](CUresult result) {
      if (result != CUDA_SUCCESS) {
        s.reply(later, result);
        release();
        return;
      }
      s.reply(later, result, {}, {{static_cast<uint8_t*>(packed), size}}, release);
    });
  }
  if (e != CUDA_SUCCESS) {
    release();
    return e;
  }
  return kDeferred;
}

CUresult nm_copy_push(Session& s, args::nm_copy_push& a, outs::nm_copy_push&) {
  // The client knows its own memory; the mirror here only bounds the size.
  if (!s.host_ranges().find(a.address, a.size)) return CUDA_ERROR_INVALID_VALUE;
  void* packed;
  if (CUresult e = pinned(s, a.size, &packed)) return e;
  auto release = [&s, packed] { unpin(s, packed); };
  CUresult e = s.driver().cuMemcpyDtoHAsync_v2(packed, a.src, a.size, a.stream);
  if (e == CUDA_SUCCESS) {
    e = s.completions().after(
        s.context(), a.stream,
        [&s, packed, size = a.size, address = a.address, context = s.record().context, release](CUresult result) {
          s.has_pushed();
          if (result != CUDA_SUCCESS) {
            s.keep_error(context, result);
            release();
            return;
          }
          s.push(wire::PushKind::memory, {address}, {static_cast<uint8_t*>(packed), size}, release);
        });
  }
  if (e == CUDA_SUCCESS)
    s.expect_push();
  else
    release();
  return e;
}

CUresult nm_stream_fence(Session& s, args::nm_stream_fence& a, outs::nm_stream_fence&) {
  if (s.any_capture()) {
    // An event of ours would become part of the capture, or break it.
    // Of the legacy stream the driver says whether something is captured that waits for it.
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_ACTIVE;
    CUresult e = s.driver().cuStreamIsCapturing(a.stream, &status);
    if (e == CUDA_ERROR_STREAM_CAPTURE_IMPLICIT) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (e != CUDA_SUCCESS) return CUDA_ERROR_INVALID_HANDLE;
    if (status != CU_STREAM_CAPTURE_STATUS_NONE) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  auto later = s.later();
  CUresult e = s.completions().after(
      s.context(), a.stream, [&s, later](CUresult result) { s.reply(later, result); }, Completions::Brings::news);
  return e == CUDA_SUCCESS ? kDeferred : e;
}

}  // namespace hand
}  // namespace nm::server
