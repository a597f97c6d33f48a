// The driver of this process: made by cuInit, never torn down (threads may still execute while the process exits).
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "softgpu/device.h"
#include "softgpu/entry.h"
#include "softgpu/handles.h"
#include "softgpu/ranges.h"

namespace nm::softgpu {

class Capture;

class Driver {
 public:
  // Fails with NOT_INITIALIZED before cuInit and in a forked child.
  static Driver& get();
  static CUresult init(unsigned flags);

  Device& device(CUdevice ordinal);

  std::mutex mutex;
  Handles handles;
  Ranges ranges;
  std::vector<std::unique_ptr<Device>> devices;
  std::map<uint64_t, uint64_t> reservations;  // cuMemAddressReserve: begin -> bytes
  int threads = 1;                            // that execute one kernel
  bool reads_early = false;                   // small copies to the device, as genuine drivers do (copy_submit.cc)
  uint64_t next_id() { return ++ids_; }
  // The captures that are going on.
  std::vector<std::shared_ptr<Capture>> captures();
  void add(const std::shared_ptr<Capture>& capture) { captures_.push_back(capture); }

 private:
  Driver();
  std::vector<std::weak_ptr<Capture>> captures_;
  std::atomic<uint64_t> ids_ = 0;
};

// A call that needs no context.
struct Call {
  Driver& driver;
  Lock& lock;
};

template <class Body>
CUresult call(Body&& body) {
  return guarded([&] {
    Driver& driver = Driver::get();
    Lock lock(driver.mutex);
    Call c{driver, lock};
    body(c);
  });
}

// Set while a host function or a stream callback runs on this thread: the API is forbidden there.
bool& in_host_function();

}  // namespace nm::softgpu
