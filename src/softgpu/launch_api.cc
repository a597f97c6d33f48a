// cuLaunchKernel and its relatives.
#include <cstring>

#include "softgpu/capture.h"
#include "softgpu/event.h"
#include "softgpu/launch.h"

using namespace nm::softgpu;

namespace {

// The event of a launch attribute happens with the end of the kernel: nothing here ends earlier.
void record_attribute_events(ContextCall& c, Stream& stream, const LaunchAttributes& attributes,
                             const std::shared_ptr<Completion>& end) {
  const CUevent wanted[2] = {
      attributes.get(CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT)
          ? attributes.get(CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT)->programmaticEvent.event
          : nullptr,
      attributes.get(CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT)
          ? attributes.get(CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT)->launchCompletionEvent.event
          : nullptr};
  for (const CUevent handle : wanted) {
    if (!handle) continue;
    const auto event = c.driver.handles.get<Event>(handle);
    if (stream.capture) {
      event->captured = true;
      event->capture = stream.capture;
      event->capture_edges = stream.capture_edges;
    } else {
      event->recorded(end);
    }
  }
}

void launch(ContextCall& c, CUfunction f, const LaunchShape& shape, CUstream stream, void** params, void** extra,
            const LaunchAttributes& attributes) {
  const auto function = function_of(c, f);
  const auto s = c.stream(stream);
  require(function->module.context == s->context, CUDA_ERROR_INVALID_HANDLE);
  auto work = std::make_shared<KernelWork>(function, shape, pack_params(function->info(), params, extra), attributes);
  const auto end = c.enqueue(*s, std::move(work));
  record_attribute_events(c, *s, attributes, end);
}

LaunchAttributes cooperative(bool value) {
  LaunchAttributes attributes;
  if (value) {
    CUlaunchAttributeValue on = {};
    on.cooperative = 1;
    attributes.set(CU_LAUNCH_ATTRIBUTE_COOPERATIVE, on);
  }
  return attributes;
}

CUresult launch_old(CUfunction f, int width, int height, CUstream stream) {
  return in_context([&](ContextCall& c) {
    require(width > 0 && height > 0);
    const auto function = function_of(c, f);
    const auto& b = function->old_block;
    const LaunchShape shape{
        {static_cast<uint32_t>(width), static_cast<uint32_t>(height), 1}, {b[0], b[1], b[2]}, function->old_shared};
    size_t size = function->old_params.size();
    void* extra[] = {reinterpret_cast<void*>(1), function->old_params.data(), reinterpret_cast<void*>(2), &size,
                     nullptr};
    launch(c, f, shape, stream, nullptr, extra, {});
  });
}

CUresult set_param(CUfunction f, int offset, const void* data, size_t bytes) {
  return in_context([&](ContextCall& c) {
    const auto function = function_of(c, f);
    require(offset >= 0 && data != nullptr && offset + bytes <= function->info().param_bytes);
    auto& params = function->old_params;
    params.resize(function->info().param_bytes);
    std::memcpy(params.data() + offset, data, bytes);
  });
}

}  // namespace

extern "C" {

CUresult cuLaunchKernel(CUfunction f, unsigned grid_dim_x, unsigned grid_dim_y, unsigned grid_dim_z,
                        unsigned block_dim_x, unsigned block_dim_y, unsigned block_dim_z, unsigned shared_mem_bytes,
                        CUstream stream, void** kernel_params, void** extra) {
  return in_context([&](ContextCall& c) {
    launch(c, f, {{grid_dim_x, grid_dim_y, grid_dim_z}, {block_dim_x, block_dim_y, block_dim_z}, shared_mem_bytes},
           stream, kernel_params, extra, {});
  });
}

CUresult cuLaunchCooperativeKernel(CUfunction f, unsigned grid_dim_x, unsigned grid_dim_y, unsigned grid_dim_z,
                                   unsigned block_dim_x, unsigned block_dim_y, unsigned block_dim_z,
                                   unsigned shared_mem_bytes, CUstream stream, void** kernel_params) {
  return in_context([&](ContextCall& c) {
    launch(c, f, {{grid_dim_x, grid_dim_y, grid_dim_z}, {block_dim_x, block_dim_y, block_dim_z}, shared_mem_bytes},
           stream, kernel_params, nullptr, cooperative(true));
  });
}

CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction f, void** kernel_params, void** extra) {
  return in_context([&](ContextCall& c) {
    require(config != nullptr);
    LaunchAttributes attributes;
    attributes.set_all(config->attrs, config->numAttrs);
    launch(c, f,
           {{config->gridDimX, config->gridDimY, config->gridDimZ},
            {config->blockDimX, config->blockDimY, config->blockDimZ},
            config->sharedMemBytes},
           config->hStream, kernel_params, extra, attributes);
  });
}

// The interface before CUDA 4.
CUresult cuFuncSetBlockShape(CUfunction hfunc, int x, int y, int z) {
  return in_context([&](ContextCall& c) {
    require(x > 0 && y > 0 && z > 0);
    auto& b = function_of(c, hfunc)->old_block;
    b[0] = static_cast<unsigned>(x);
    b[1] = static_cast<unsigned>(y);
    b[2] = static_cast<unsigned>(z);
  });
}
CUresult cuFuncSetSharedSize(CUfunction hfunc, unsigned bytes) {
  return in_context([&](ContextCall& c) { function_of(c, hfunc)->old_shared = bytes; });
}
CUresult cuParamSetSize(CUfunction hfunc, unsigned numbytes) {
  return in_context([&](ContextCall& c) {
    const auto function = function_of(c, hfunc);
    require(numbytes <= function->info().param_bytes);
    function->old_params.resize(function->info().param_bytes);
  });
}
CUresult cuParamSeti(CUfunction hfunc, int offset, unsigned value) { return set_param(hfunc, offset, &value, 4); }
CUresult cuParamSetf(CUfunction hfunc, int offset, float value) { return set_param(hfunc, offset, &value, 4); }
CUresult cuParamSetv(CUfunction hfunc, int offset, void* ptr, unsigned numbytes) {
  return set_param(hfunc, offset, ptr, numbytes);
}
CUresult cuLaunch(CUfunction f) { return launch_old(f, 1, 1, nullptr); }
CUresult cuLaunchGrid(CUfunction f, int grid_width, int grid_height) {
  return launch_old(f, grid_width, grid_height, nullptr);
}
CUresult cuLaunchGridAsync(CUfunction f, int grid_width, int grid_height, CUstream stream) {
  return launch_old(f, grid_width, grid_height, stream);
}

}  // extern "C"
