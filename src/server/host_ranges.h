// Host memory of the client that the device can reach: mapped here at the client's address, or mirrored.
#pragma once

#include <cstdint>
#include <map>

#include "base/fd.h"
#include "cuda_abi.h"
#include "driver_table.h"

namespace nm::server {

class HostRanges {
 public:
  explicit HostRanges(const DriverTable& driver) : driver_(driver) {}
  HostRanges(const HostRanges&) = delete;
  ~HostRanges();

  // Maps `memory`, from `offset` on, at exactly `address` and registers it. ALREADY_MAPPED: the address is taken here.
  CUresult share(uint64_t address, uint64_t size, uint64_t offset, Fd memory, CUcontext context,
                 CUdeviceptr* device_pointer);
  // A copy of the worker's own: at `address` if `exact`, else wherever there is room.
  CUresult mirror(uint64_t address, uint64_t size, bool exact, CUcontext context, CUdeviceptr* device_pointer);
  CUresult release(uint64_t address);
  // The context in which they were registered is gone, and with it, as in CUDA, the memory. Not before: until then the
  // device may be at work on it.
  void forget(CUcontext context);

  // This process's view of [address, address + size) of the client; null if that is not all shared or mirrored.
  uint8_t* find(uint64_t address, uint64_t size) const;
  // True if `here`, an address of this process, lies in a range.
  bool holds(uint64_t here) const;

 private:
  struct Range {
    uint64_t size;
    uint8_t* here;
    uint64_t mapped;  // bytes
    CUcontext context;
  };
  CUresult register_range(uint64_t address, Range range, CUdeviceptr* device_pointer);

  const DriverTable& driver_;
  std::map<uint64_t, Range> ranges_;
  uint64_t total_ = 0;
};

}  // namespace nm::server
