// Which addresses mean what: device memory, and host memory that the device can reach.
//
// Device addresses are the driver's own. So that no address ever means two things in this process, its range is
// reserved here without access (docs/decisions/0004-addresses.md).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "cuda_abi.h"

namespace nm::client {

enum class MemoryKind : uint8_t {
  device,    // the driver's; not readable here
  reserved,  // address space that the program reserved for device memory
  shared,    // host memory that the worker maps at the same address
  mirrored,  // host memory of which the worker keeps a copy
  variable,  // a module's memory
};

struct RangeNotes;  // range_notes.h

struct MemoryRange {
  uint64_t base = 0;
  uint64_t size = 0;  // bytes
  MemoryKind kind = MemoryKind::device;
  uint64_t context = 0;         // current when it was made
  uint64_t device_pointer = 0;  // host memory: where the device sees it
  unsigned flags = 0;           // host memory: as the program asked for it
  bool managed = false;
  bool registered = false;      // the program's own pages
  bool pooled = false;          // from a memory pool: which context it belongs to is the driver's to say
  uint64_t owner = 0;           // variable: its module or library
  std::shared_ptr<RangeNotes> notes;  // there once it was added
};

// The range that holds `address`.
std::optional<MemoryRange> find_memory(uint64_t address);
// True if all of [address, address + size) is host memory that the worker sees at the same address.
bool is_shared_host(const void* address, uint64_t size);
// True if something of the program lies at `address`: what the server has there is none of its business.
bool is_mapped_here(uint64_t address);
// True if the address is one of the device's, or shared: it may be sent to the driver as it is.
bool is_device_address(uint64_t address);

// INVALID_VALUE if [address, address + size) leaves the allocation in which it begins. Of an address that nobody told us
// of the driver is asked whether it is a device's.
CUresult check_device_range(uint64_t address, uint64_t size);

void add_memory(MemoryRange range);
// The range that starts at `base`, now forgotten.
std::optional<MemoryRange> remove_memory(uint64_t base);
void for_each_memory(const std::function<void(const MemoryRange&)>& visit);

// Takes the range in this process. False: something of the program lies there already.
bool guard_range(uint64_t base, uint64_t size);
void release_guard(uint64_t base, uint64_t size);

// Runs `allocate` until it gives an address that is free here; what clashed is given back with `give_back`.
CUresult allocate_guarded(uint64_t size, const std::function<CUresult(CUdeviceptr*)>& allocate,
                          const std::function<void(CUdeviceptr)>& give_back, CUdeviceptr* out);

// The context is going, and with it all memory that was made in it.
void forget_context_memory(uint64_t context);

void remember_module_memory(uint64_t owner, uint64_t base, uint64_t size);
void forget_module_memory(uint64_t owner);
// Makes a managed variable readable and writable here.
CUresult mirror_managed_variable(uint64_t owner, uint64_t base, uint64_t size);

}  // namespace nm::client
