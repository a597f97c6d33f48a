// PeerCopies: copies from one device's memory to another's (cuMemcpyPeerAsync), by size, with the devices' direct way
// to each other where they have one. Bound by that way (NVLink, or the bus).
#include "device/cuda_api.h"
#include "workload/path/programs.h"
#include "workload/pattern.h"
#include "workload/timing.h"

namespace nm::workload::path {

void peer_copies(Run& run) {
  int count = 0;
  CU(cuDeviceGetCount, &count);
  if (count < 2) throw device::Unsupported("There is one CUDA device here; copies between two are not measured.");
  device::Device& near = run.device();
  const CUdevice near_device = device::cuda_device(near), far_device = (near_device + 1) % count;
  CUcontext near_context = nullptr, far_context = nullptr;
  CU(cuCtxGetCurrent, &near_context);
  const auto far = device::Device::open(device::Api::cuda, far_device);
  CU(cuCtxGetCurrent, &far_context);
  // Work on a device needs its context to be the thread's.
  const auto in = [](CUcontext context, const auto& work) {
    CU(cuCtxSetCurrent, context);
    work();
  };
  int direct = 0;
  CU(cuDeviceCanAccessPeer, &direct, near_device, far_device);
  if (direct) {
    const auto enable = [](CUcontext peer) {
      const CUresult result = device::cuda_api().cuCtxEnablePeerAccess(peer, 0);
      if (result && result != CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED)
        device::cuda_failed("cuCtxEnablePeerAccess", result);
    };
    in(near_context, [&] { enable(far_context); });
    in(far_context, [&] { enable(near_context); });
  }

  const size_t largest = run.pick<size_t>(1 << 20, 64 << 20, 1 << 30);
  device::Buffer here, there, found;
  in(near_context, [&] { here = near.allocate(largest); });
  in(far_context, [&] { there = far->allocate(largest), found = far->allocate(4); });
  const CUstream stream = device::cuda_stream(near);
  const std::string series = direct ? "peer_direct" : "peer_staged";
  size_t wrong = 0;
  for (size_t bytes = 4; bytes <= largest; bytes *= 4) {
    const auto words = static_cast<uint32_t>(bytes / 4), salt = static_cast<uint32_t>(run.random()());
    in(far_context, [&] {
      far->fill(there, 0, 0xdeadbeef, bytes);
      far->fill(found, 0, 0, 4);
      far->finish();
    });
    in(near_context, [&] {
      near.launch(near.kernel("pattern", "u32", "fill_pattern"), {256}, {256}, here, words, salt);
      const auto copy = [&] {
        CU(cuMemcpyPeerAsync, there.handle(), far_context, here.handle(), near_context, bytes, stream);
      };
      const int copies =
          static_cast<int>(std::clamp<size_t>(run.pick<size_t>(1 << 20, 256 << 20, 1 << 30) / bytes, 1, 64));
      const auto seconds = run.device_seconds([&] {
        for (int i = 0; i < copies; ++i) copy();
      });
      run.sample({series + "/" + text_of(bytes), "GB/s", true, false, series, static_cast<double>(bytes), "B"},
                 rates(static_cast<double>(bytes) * copies / 1e9, seconds));
      if (bytes <= 64 << 10) {
        const std::string latency = series + "_latency";
        run.sample({latency + "/" + text_of(bytes), "us", false, false, latency, static_cast<double>(bytes), "B"},
                   scaled(1e6, run.wall_seconds(copy)));
      }
      near.finish();
    });
    in(far_context, [&] {
      far->launch(far->kernel("pattern", "u32", "count_wrong"), {256}, {256}, there, found, words, salt);
      wrong += far->download<uint32_t>(found, 1)[0];
    });
  }
  run.check(series + ": wrong words", static_cast<double>(wrong), 0);
  in(far_context, [&] { there = {}, found = {}; });
  CU(cuCtxSetCurrent, near_context);
}

}  // namespace nm::workload::path
