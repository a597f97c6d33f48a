#include "server/session_meter.h"

#include <string.h>

#include "wire/codec.h"
#include "wire_ops.h"

namespace nm::server {
namespace {

uint64_t array_size(uint64_t width, uint64_t height, uint64_t depth, CUarray_format format, unsigned channels) {
  uint64_t bytes = 4;
  if (format == CU_AD_FORMAT_UNSIGNED_INT8 || format == CU_AD_FORMAT_SIGNED_INT8) bytes = 1;
  if (format == CU_AD_FORMAT_UNSIGNED_INT16 || format == CU_AD_FORMAT_SIGNED_INT16 || format == CU_AD_FORMAT_HALF)
    bytes = 2;
  return width * (height ? height : 1) * (depth ? depth : 1) * bytes * channels;
}

}  // namespace

SessionMeter::SessionMeter(const DriverTable& driver, SessionPage* page)
    : driver_(driver), page_(page ? *page : own_) {}

void SessionMeter::done(uint16_t op, CUcontext context, std::span<const uint8_t> body, std::span<const uint8_t> reply) {
  wire::Reader in(body);
  switch (op) {
    case op::nm_launch:
      return add(page_.kernels, 1);
    case op::cuGraphLaunch:
      return add(page_.graphs, 1);
    // What comes past the connection, over lanes or in memory that both sides share, travels, too.
    case op::nm_stage: {
      in.u64(), in.u64();
      const uint64_t size = in.u64();
      return add(in.u64() ? page_.bytes_in : page_.bytes_out, size);
    }
    case op::nm_copy_host: {
      in.u64(), in.u64();
      const uint64_t size = in.u64();
      in.u64();
      return add(in.u64() ? page_.bytes_in : page_.bytes_out, size);
    }
    case op::nm_lane_in:
      in.u64();
      return add(page_.bytes_in, in.u64());
    case op::nm_lane_out:
    case op::nm_lane_push:
      in.u64();
      return add(page_.bytes_out, in.u64());
    case op::nm_copy3d: {
      CUDA_MEMCPY3D_PEER copy;
      if (!in.pod(&copy)) return;
      const uint64_t size = copy.WidthInBytes * copy.Height * copy.Depth;
      if (copy.srcMemoryType == CU_MEMORYTYPE_HOST) add(page_.bytes_in, size);
      if (copy.dstMemoryType == CU_MEMORYTYPE_HOST) add(page_.bytes_out, size);
      return;
    }
    case op::cuMemAlloc_v2:
    case op::cuMemAllocAsync:
    case op::cuMemAllocFromPoolAsync:
    case op::cuMemAllocPitch_v2:
    case op::cuMemFree_v2:
    case op::cuMemFreeAsync:
    case op::cuArrayCreate_v2:
    case op::cuArray3DCreate_v2:
    case op::cuArrayDestroy:
    case op::cuMemCreate:
    case op::cuMemMap:
    case op::cuMemUnmap:
    case op::cuMemRelease:
      return memory_changed(op, context, body, reply);
  }
}

void SessionMeter::memory_changed(uint16_t op, CUcontext context, std::span<const uint8_t> body,
                                  std::span<const uint8_t> reply) {
  wire::Reader in(body), out(reply);
  const uint64_t first = in.u64();  // a size, an address or a handle
  switch (op) {
    case op::cuMemAlloc_v2:
    case op::cuMemAllocAsync:
    case op::cuMemAllocFromPoolAsync:
      return hold(out.u64(), first, context);
    case op::cuMemAllocPitch_v2: {
      const uint64_t height = in.u64(), address = out.u64(), pitch = out.u64();
      return hold(address, pitch * height, context);
    }
    case op::cuArrayCreate_v2: {
      CUDA_ARRAY_DESCRIPTOR a;
      if (in.pod(&a)) hold(first, array_size(a.Width, a.Height, 0, a.Format, a.NumChannels), context);
      return;
    }
    case op::cuArray3DCreate_v2: {
      CUDA_ARRAY3D_DESCRIPTOR a;
      if (in.pod(&a)) hold(first, array_size(a.Width, a.Height, a.Depth, a.Format, a.NumChannels), context);
      return;
    }
    case op::cuMemCreate: {
      const uint64_t size = in.u64();
      CUmemAllocationProp properties;
      if (in.pod(&properties) && properties.location.type == CU_MEM_LOCATION_TYPE_DEVICE) {
        hold(first, {size, nullptr, properties.location.id, 1});
      }
      return;
    }
    // Physical memory lasts until its handle is released and the last mapping of it is gone.
    case op::cuMemMap: {
      in.u64(), in.u64();
      const uint64_t handle = in.u64();
      const auto found = held_.find(handle);
      if (found != held_.end() && mapped_.emplace(first, handle).second) found->second.uses++;
      return;
    }
    case op::cuMemUnmap: {
      const uint64_t size = in.u64();
      for (auto it = mapped_.begin(); it != mapped_.end();) {
        if (it->first - first >= size) {
          ++it;
          continue;
        }
        const uint64_t handle = it->second;
        it = mapped_.erase(it);
        drop(handle);
      }
      return;
    }
    default:
      return drop(first);
  }
}

void SessionMeter::hold(uint64_t key, uint64_t size, CUcontext context) {
  CUdevice device = -1;
  if (!driver_.cuCtxGetDevice || driver_.cuCtxGetDevice(&device) != CUDA_SUCCESS) device = -1;
  hold(key, {size, context, device, 1});
}

void SessionMeter::hold(uint64_t key, const Memory& memory) {
  if (held_.emplace(key, memory).second) count(memory, true);
}

void SessionMeter::drop(uint64_t key) {
  const auto found = held_.find(key);
  if (found == held_.end() || --found->second.uses > 0) return;
  count(found->second, false);
  held_.erase(found);
}

void SessionMeter::leave(CUcontext context) {
  for (auto it = held_.begin(); it != held_.end();) {
    if (!it->second.context || it->second.context != context) {
      ++it;
      continue;
    }
    count(it->second, false);
    it = held_.erase(it);
  }
}

void SessionMeter::count(const Memory& memory, bool more) {
  const uint64_t change = more ? memory.size : -memory.size;
  add(page_.memory, change);
  if (memory.device >= 0 && static_cast<size_t>(memory.device) < kPageGpus) add(page_.gpus[memory.device].held, change);
}

}  // namespace nm::server
