#include "softgpu/pool.h"

#include <algorithm>

namespace nm::softgpu {
namespace {

// What the device counts for an allocation of this size.
uint64_t counted(uint64_t bytes) { return (bytes + 511) & ~511ull; }

}  // namespace

std::shared_ptr<Device::Space> Pool::take(uint64_t bytes) {
  bytes = counted(bytes);
  std::lock_guard lock(mutex_);
  if (props.maxSize != 0 && used_ + bytes > props.maxSize) return nullptr;
  const uint64_t from_kept = std::min(kept_, bytes);
  device.discharge(from_kept);
  auto space = device.take(bytes, 512);
  if (!space) {
    device.charge(from_kept);
    return nullptr;
  }
  kept_ -= from_kept;
  used_ += bytes;
  used_high_ = std::max(used_high_, used_);
  reserved_high_ = std::max(reserved_high_, used_ + kept_);
  return space;
}

void Pool::ended(uint64_t bytes) {
  bytes = counted(bytes);
  std::lock_guard lock(mutex_);
  used_ -= bytes;
  // What exceeds the threshold goes back at once; CUDA may hold it until the next synchronisation.
  const uint64_t room = threshold_ > used_ ? threshold_ - used_ : 0;
  const uint64_t keep = std::min(kept_ + bytes, room);
  if (keep > kept_) device.charge(keep - kept_);
  kept_ = std::max(kept_, keep);
  keep_at_most(room);
}

void Pool::keep_at_most(uint64_t bytes) {
  if (kept_ <= bytes) return;
  device.discharge(kept_ - bytes);
  kept_ = bytes;
}

void Pool::trim(uint64_t keep) {
  std::lock_guard lock(mutex_);
  keep_at_most(keep > used_ ? keep - used_ : 0);
}

void Pool::set_threshold(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  threshold_ = bytes;
}

Pool::Usage Pool::usage() {
  std::lock_guard lock(mutex_);
  return {threshold_, used_, used_high_, used_ + kept_, reserved_high_};
}

void Pool::reset_used_high() {
  std::lock_guard lock(mutex_);
  used_high_ = used_;
}

void Pool::reset_reserved_high() {
  std::lock_guard lock(mutex_);
  reserved_high_ = used_ + kept_;
}

PoolPtr default_pool(Call& c, Device& device) {
  if (!device.default_pool) {
    CUmemPoolProps props = {};
    props.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
    props.location = {CU_MEM_LOCATION_TYPE_DEVICE, device.ordinal};
    device.default_pool = std::make_shared<Pool>(device, props);
    device.default_pool->is_default = true;
    c.driver.handles.add(device.default_pool);
  }
  return device.default_pool;
}

PoolPtr current_pool(Call& c, Device& device) {
  return device.current_pool ? device.current_pool : default_pool(c, device);
}

bool end_allocation(Driver& driver, const AllocationPtr& allocation) {
  if (allocation->kind == MemoryKind::graph) {
    // The address stays the graph's; only what is behind it ends.
    if (!allocation->live.exchange(false)) return false;
    driver.ranges.shrink();
    driver.device(allocation->device).graph_used -= allocation->size;
    return true;
  }
  if (!driver.ranges.remove(*allocation)) return false;
  const auto pool = allocation->pool;
  allocation->backing = nullptr;
  if (pool && !pool->imported) pool->ended(allocation->size);
  return true;
}

void wait_for_pending_frees(Call& c, Device& device) {
  const auto frees = std::move(device.pending_frees);
  device.pending_frees.clear();
  c.lock.unlock();
  for (const auto& end : frees) end->wait();
  c.lock.lock();
  c.driver.handles.each<Pool>([&](Pool& pool) {
    if (&pool.device == &device) pool.trim(0);
  });
}

}  // namespace nm::softgpu
