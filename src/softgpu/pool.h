// Memory pools: whose allocations follow the order of a stream. An address is drawn at the call, the end of an
// allocation is work in the stream. What a pool keeps for later, up to its release threshold, counts as used memory.
#pragma once

#include <mutex>

#include "base/fd.h"
#include "softgpu/context.h"
#include "softgpu/memory.h"

namespace nm::softgpu {

class Pool final : public Object {
 public:
  static constexpr Kind kKind = Kind::pool;
  Pool(Device& device, const CUmemPoolProps& props) : Object(kKind), device(device), props(props) {
    access = 1ull << device.ordinal;
  }
  ~Pool() override { device.discharge(kept_); }

  Device& device;
  const CUmemPoolProps props;
  bool is_default = false;
  Fd imported;      // another process's pool: allocations come by cuMemPoolImportPointer only
  uint64_t access;  // bit d: device d may use the pool's memory
  int reuse[3] = {1, 1, 1};

  // Under the driver's lock. Null: the device's memory does not suffice.
  std::shared_ptr<Device::Space> take(uint64_t bytes);
  void ended(uint64_t bytes);
  void trim(uint64_t keep);
  void set_threshold(uint64_t bytes);

  struct Usage {
    uint64_t threshold, used, used_high, reserved, reserved_high;
  };
  Usage usage();
  void reset_used_high();
  void reset_reserved_high();

 private:
  void keep_at_most(uint64_t bytes);
  std::mutex mutex_;
  uint64_t threshold_ = 0, used_ = 0, used_high_ = 0, kept_ = 0, reserved_high_ = 0;
};
using PoolPtr = std::shared_ptr<Pool>;

PoolPtr default_pool(Call& c, Device& device);
PoolPtr current_pool(Call& c, Device& device);

// The memory is gone for everybody. False: it was before.
bool end_allocation(Driver& driver, const AllocationPtr& allocation);
// Waits for frees that are enqueued, and takes back what the device's pools keep.
void wait_for_pending_frees(Call& c, Device& device);

}  // namespace nm::softgpu
