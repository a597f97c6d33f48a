#include "softgpu/driver.h"

#include <pthread.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "base/number.h"

#include "softgpu/context.h"

namespace nm::softgpu {
namespace {

std::atomic<Driver*> g_driver = nullptr;
std::atomic<bool> g_forked = false;
std::mutex g_init_mutex;

}  // namespace

bool& in_host_function() {
  static thread_local bool inside = false;
  return inside;
}

Driver& Driver::get() {
  Driver* driver = g_driver.load(std::memory_order_acquire);
  if (!driver || g_forked.load(std::memory_order_relaxed)) fail(CUDA_ERROR_NOT_INITIALIZED);
  return *driver;
}

CUresult Driver::init(unsigned flags) {
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  if (g_forked) return CUDA_ERROR_NOT_INITIALIZED;
  std::lock_guard lock(g_init_mutex);
  if (g_driver.load()) return CUDA_SUCCESS;
  std::unique_ptr<Driver> driver(new Driver);
  if (driver->devices.empty()) return CUDA_ERROR_NO_DEVICE;
  // A child has none of the threads that execute, so it has no device either; it may exec and start afresh.
  pthread_atfork(nullptr, nullptr, [] { g_forked = true; });
  g_driver.store(driver.release(), std::memory_order_release);
  return CUDA_SUCCESS;
}

Driver::Driver() {
  const char* text = std::getenv("NEARMETAL_SOFTGPU_THREADS");
  threads = std::max(1, text ? number_or(text, 0) : static_cast<int>(std::thread::hardware_concurrency()));
  if (const char* early = std::getenv("NEARMETAL_SOFTGPU_EARLY_COPIES")) reads_early = number_or(early, 0) == 1;
  for (const Identity& identity : visible_devices(all_devices())) {
    auto device = std::make_unique<Device>(static_cast<int>(devices.size()), identity);
    device->primary = Context::make(*this, *device, true);
    handles.add(device->primary);
    devices.push_back(std::move(device));
  }
}

Device& Driver::device(CUdevice ordinal) {
  require(ordinal >= 0 && ordinal < static_cast<int>(devices.size()), CUDA_ERROR_INVALID_DEVICE);
  return *devices[static_cast<size_t>(ordinal)];
}

std::vector<std::shared_ptr<Capture>> Driver::captures() {
  std::vector<std::shared_ptr<Capture>> live;
  std::erase_if(captures_, [&](const auto& weak) {
    auto capture = weak.lock();
    if (capture) live.push_back(std::move(capture));
    return weak.expired();
  });
  return live;
}

}  // namespace nm::softgpu
