// Holds a CUDA stream until it is let go, so that what is queued behind is there before the first of it begins: then
// the device's own pace is seen, and not that of the host that queues. A kernel looks at a word of device memory, which
// another stream sets.
//
// No more than some hundred launches may wait: a driver's queue is finite, and a host that waits for room in it never
// gets to let go. Should that happen, the kernel ends by itself after two seconds, and `failed()` says so.
#pragma once

#include "device/cuda_api.h"
#include "device/device.h"

namespace nm::workload::path {

class Hold {
 public:
  explicit Hold(device::Device& device)
      : device_(device), kernel_(device.kernel("latency", "plain", "hold")), state_(device.allocate(8)) {
    CU(cuStreamCreate, &other_, CU_STREAM_NON_BLOCKING);
    device_.fill(state_, 0, 0, 8);
    device_.finish();
  }
  ~Hold() {
    device::cuda_api().cuMemsetD32Async(state_.handle(), static_cast<unsigned>(turn_), 1, other_);
    device::cuda_api().cuStreamSynchronize(other_);
    device::cuda_api().cuStreamDestroy_v2(other_);
  }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  void begin() { device_.launch(kernel_, {1}, {1}, state_, ++turn_, uint64_t{2'000'000'000}); }
  void release() { CU(cuMemsetD32Async, state_.handle(), static_cast<unsigned>(turn_), 1, other_); }
  // A hold that ended before it was released, ever.
  bool failed() { return device_.download<int>(state_, 2)[1] != 0; }

 private:
  device::Device& device_;
  device::Kernel kernel_;
  device::Buffer state_;
  int turn_ = 0;
  CUstream other_ = nullptr;
};

}  // namespace nm::workload::path
