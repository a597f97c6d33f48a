// The primary context of a device: one handle for the whole life of the process, there while somebody retains it.
#include "softgpu/context.h"

using namespace nm::softgpu;

namespace {

void require_schedule(unsigned flags) {
  const unsigned schedule = flags & CU_CTX_SCHED_MASK;
  require((flags & ~static_cast<unsigned>(CU_CTX_FLAGS_MASK)) == 0 && (schedule & (schedule - 1)) == 0);
}

}  // namespace

extern "C" {

CUresult cuDevicePrimaryCtxRetain(CUcontext* ctx, CUdevice dev) {
  return call([&](Call& c) {
    require(ctx != nullptr);
    Device& device = c.driver.device(dev);
    ++device.primary_uses;
    if (!device.primary->alive) {
      device.primary->start(device.primary_flags, c.lock);
      device.primary->api_version = 3020;
    }
    *ctx = handle_of<CUcontext>(device.primary.get());
  });
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice dev) {
  return call([&](Call& c) {
    Device& device = c.driver.device(dev);
    require(device.primary_uses > 0, CUDA_ERROR_INVALID_CONTEXT);
    if (--device.primary_uses == 0) device.primary->stop(c.lock);
  });
}
CUresult cuDevicePrimaryCtxRelease(CUdevice dev) { return cuDevicePrimaryCtxRelease_v2(dev); }

CUresult cuDevicePrimaryCtxReset_v2(CUdevice dev) {
  return call([&](Call& c) {
    Device& device = c.driver.device(dev);
    device.primary_uses = 0;
    if (device.primary->alive) device.primary->stop(c.lock);
  });
}
CUresult cuDevicePrimaryCtxReset(CUdevice dev) { return cuDevicePrimaryCtxReset_v2(dev); }

CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice dev, unsigned flags) {
  return call([&](Call& c) {
    Device& device = c.driver.device(dev);
    require_schedule(flags);
    device.primary_flags = flags;
    if (device.primary->alive) device.primary->flags = flags | CU_CTX_MAP_HOST;
  });
}
CUresult cuDevicePrimaryCtxSetFlags(CUdevice dev, unsigned flags) { return cuDevicePrimaryCtxSetFlags_v2(dev, flags); }

CUresult cuDevicePrimaryCtxGetState(CUdevice dev, uint32_t* flags, int* active) {
  return call([&](Call& c) {
    require(flags != nullptr && active != nullptr);
    const Device& device = c.driver.device(dev);
    *flags = device.primary_flags;
    *active = device.primary->alive;
  });
}

}  // extern "C"
