// Streams: their life, their state and their settings. What runs in them is elsewhere.
#include <algorithm>
#include <cstring>

#include "softgpu/capture.h"
#include "softgpu/context.h"

using namespace nm::softgpu;

namespace {

constexpr int kGreatestPriority = -5;

void create(ContextCall& c, CUstream* out, unsigned flags, int priority) {
  require(out != nullptr && (flags & ~static_cast<unsigned>(CU_STREAM_NON_BLOCKING)) == 0);
  const auto stream = c.context->create_stream(flags, std::clamp(priority, kGreatestPriority, 0));
  *out = handle_of<CUstream>(stream.get());
}

bool known_attribute(CUstreamAttrID attr) {
  return attr == CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW || attr == CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY ||
         attr == CU_LAUNCH_ATTRIBUTE_PRIORITY || attr == CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP ||
         attr == CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN;
}

}  // namespace

extern "C" {

CUresult cuStreamCreate(CUstream* stream, unsigned flags) {
  return in_context([&](ContextCall& c) { create(c, stream, flags, 0); });
}

CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned flags, int priority) {
  return in_context([&](ContextCall& c) { create(c, stream, flags, priority); });
}

CUresult cuStreamDestroy_v2(CUstream stream) {
  return call([&](Call& c) {
    const auto object = c.driver.handles.get<Stream>(stream);
    object->context->destroy_stream(object);
  });
}
CUresult cuStreamDestroy(CUstream stream) { return cuStreamDestroy_v2(stream); }

CUresult cuStreamSynchronize(CUstream stream) {
  return in_context([&](ContextCall& c) {
    const auto s = c.stream(stream);
    if (s->capture) fail_capture(*s->capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    fail_if_capturing(c.driver);
    // The legacy stream stands for every stream that it synchronises with.
    std::vector<std::shared_ptr<Fence>> ends;
    if (s == s->context->legacy()) {
      fail_if_legacy_breaks_capture(*s);
      for (const auto& other : s->context->streams()) {
        if (other->blocking()) {
          if (auto end = other->pending()) ends.push_back(std::move(end));
        }
      }
    } else if (auto end = s->pending()) {
      ends.push_back(std::move(end));
    }
    c.wait(ends);
    fail_if_unusable(*s->context);
  });
}

CUresult cuStreamQuery(CUstream stream) {
  return in_context([&](ContextCall& c) {
    const auto s = c.stream(stream);
    if (s->capture) fail_capture(*s->capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    fail_if_capturing(c.driver);
    bool idle = !s->pending();
    if (s == s->context->legacy()) {
      fail_if_legacy_breaks_capture(*s);
      for (const auto& other : s->context->streams()) idle = idle && !(other->blocking() && other->pending());
    }
    fail_if_unusable(*s->context);
    require(idle, CUDA_ERROR_NOT_READY);
  });
}

CUresult cuStreamGetFlags(CUstream stream, uint32_t* flags) {
  return in_context([&](ContextCall& c) {
    require(flags != nullptr);
    *flags = c.stream(stream)->flags;
  });
}

CUresult cuStreamGetPriority(CUstream stream, int* priority) {
  return in_context([&](ContextCall& c) {
    require(priority != nullptr);
    *priority = c.stream(stream)->attributes[CU_LAUNCH_ATTRIBUTE_PRIORITY].priority;
  });
}

CUresult cuStreamGetId(CUstream stream, unsigned long long* stream_id) {
  return in_context([&](ContextCall& c) {
    require(stream_id != nullptr);
    *stream_id = c.stream(stream)->id;
  });
}

CUresult cuStreamGetCtx(CUstream stream, CUcontext* ctx) {
  return in_context([&](ContextCall& c) {
    require(ctx != nullptr);
    *ctx = handle_of<CUcontext>(c.stream(stream)->context.get());
  });
}

CUresult cuStreamGetCtx_v2(CUstream stream, CUcontext* ctx, CUgreenCtx* green_ctx) {
  return in_context([&](ContextCall& c) {
    require(ctx != nullptr);
    *ctx = handle_of<CUcontext>(c.stream(stream)->context.get());
    if (green_ctx) *green_ctx = nullptr;
  });
}

CUresult cuStreamGetGreenCtx(CUstream stream, CUgreenCtx* ctx) {
  return in_context([&](ContextCall& c) {
    require(ctx != nullptr);
    c.stream(stream);
    *ctx = nullptr;
  });
}

CUresult cuStreamGetDevice(CUstream stream, CUdevice* device) {
  return in_context([&](ContextCall& c) {
    require(device != nullptr);
    *device = c.stream(stream)->context->device.ordinal;
  });
}

CUresult cuStreamGetAttribute(CUstream stream, CUstreamAttrID attr, CUstreamAttrValue* value) {
  return in_context([&](ContextCall& c) {
    require(value != nullptr && known_attribute(attr));
    *value = c.stream(stream)->attributes[attr];
  });
}

CUresult cuStreamSetAttribute(CUstream stream, CUstreamAttrID attr, const CUstreamAttrValue* param) {
  return in_context([&](ContextCall& c) {
    require(param != nullptr && known_attribute(attr));
    const auto s = c.stream(stream);
    CUlaunchAttributeValue value = *param;
    switch (attr) {
      case CU_LAUNCH_ATTRIBUTE_PRIORITY:
        value.priority = std::clamp(param->priority, kGreatestPriority, 0);
        break;
      case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
        require(param->syncPolicy >= CU_SYNC_POLICY_AUTO && param->syncPolicy <= CU_SYNC_POLICY_BLOCKING_SYNC);
        break;
      case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
        require(param->accessPolicyWindow.num_bytes == 0);  // MAX_ACCESS_POLICY_WINDOW_SIZE is zero
        break;
      case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
        require(param->memSyncDomain <= CU_LAUNCH_MEM_SYNC_DOMAIN_REMOTE);
        break;
      default:
        break;
    }
    s->attributes[attr] = value;
  });
}

CUresult cuStreamCopyAttributes(CUstream dst_stream, CUstream src_stream) {
  return in_context([&](ContextCall& c) {
    const auto to = c.stream(dst_stream), from = c.stream(src_stream);
    std::memcpy(to->attributes, from->attributes, sizeof to->attributes);
  });
}

}  // extern "C"
