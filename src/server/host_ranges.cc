#include "server/host_ranges.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

namespace nm::server {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kMaxTotal = 1ull << 40;  // bytes of host memory in one session
constexpr uint64_t kLowest = 1 << 20, kHighest = 1ull << 47;

// Where a program may have memory at all.
bool within(uint64_t address, uint64_t size) {
  return size > 0 && size <= kMaxTotal && address >= kLowest && address <= kHighest - size;
}

uint64_t round_up(uint64_t size) { return (size + kPage - 1) & ~(kPage - 1); }

}  // namespace

HostRanges::~HostRanges() {
  for (auto& [address, range] : ranges_) munmap(range.here, range.mapped);
}

CUresult HostRanges::share(uint64_t address, uint64_t size, uint64_t offset, Fd memory, CUcontext context,
                           CUdeviceptr* device_pointer) {
  if (!memory || address % kPage || offset % kPage || !within(address, size) || ranges_.count(address)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  // A file shorter than announced would fault in the middle of a copy.
  struct stat st;
  if (fstat(memory.get(), &st) != 0 || st.st_size < 0 || static_cast<uint64_t>(st.st_size) < round_up(size) ||
      static_cast<uint64_t>(st.st_size) - round_up(size) < offset) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  uint64_t mapped = round_up(size);
  void* at = mmap(reinterpret_cast<void*>(address), mapped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
                  memory.get(), static_cast<off_t>(offset));
  if (at == MAP_FAILED) return errno == EEXIST ? CUDA_ERROR_ALREADY_MAPPED : CUDA_ERROR_OUT_OF_MEMORY;
  if (at != reinterpret_cast<void*>(address)) {
    munmap(at, mapped);
    return CUDA_ERROR_ALREADY_MAPPED;
  }
  return register_range(address, {size, static_cast<uint8_t*>(at), mapped, context}, device_pointer);
}

CUresult HostRanges::mirror(uint64_t address, uint64_t size, bool exact, CUcontext context,
                            CUdeviceptr* device_pointer) {
  if (size == 0 || size > kMaxTotal || total_ + size > kMaxTotal || ranges_.count(address)) return CUDA_ERROR_INVALID_VALUE;
  if (exact && (address % kPage || !within(address, size))) return CUDA_ERROR_INVALID_VALUE;
  uint64_t mapped = round_up(size);
  void* at = mmap(exact ? reinterpret_cast<void*>(address) : nullptr, mapped, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | (exact ? MAP_FIXED_NOREPLACE : 0), -1, 0);
  if (at == MAP_FAILED) return errno == EEXIST ? CUDA_ERROR_ALREADY_MAPPED : CUDA_ERROR_OUT_OF_MEMORY;
  if (exact && at != reinterpret_cast<void*>(address)) {
    munmap(at, mapped);
    return CUDA_ERROR_ALREADY_MAPPED;
  }
  return register_range(address, {size, static_cast<uint8_t*>(at), mapped, context}, device_pointer);
}

CUresult HostRanges::register_range(uint64_t address, Range range, CUdeviceptr* device_pointer) {
  CUresult result = total_ + range.size > kMaxTotal ? CUDA_ERROR_OUT_OF_MEMORY
                    : driver_.cuMemHostRegister_v2(range.here, range.mapped, CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP);
  if (result == CUDA_SUCCESS) {
    result = driver_.cuMemHostGetDevicePointer_v2(device_pointer, range.here, 0);
    if (result != CUDA_SUCCESS) driver_.cuMemHostUnregister(range.here);
  }
  if (result != CUDA_SUCCESS) {
    munmap(range.here, range.mapped);
    return result;
  }
  total_ += range.size;
  ranges_[address] = range;
  return CUDA_SUCCESS;
}

CUresult HostRanges::release(uint64_t address) {
  auto it = ranges_.find(address);
  if (it == ranges_.end()) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = driver_.cuMemHostUnregister(it->second.here);
  // Pages that the device may still write to must not become something else.
  if (result != CUDA_SUCCESS) return result;
  munmap(it->second.here, it->second.mapped);
  total_ -= it->second.size;
  ranges_.erase(it);
  return CUDA_SUCCESS;
}

void HostRanges::forget(CUcontext context) {
  for (auto it = ranges_.begin(); it != ranges_.end();) {
    if (it->second.context != context) {
      ++it;
      continue;
    }
    // The driver has forgotten it with its context; if the context would not go, it has to here.
    driver_.cuMemHostUnregister(it->second.here);
    munmap(it->second.here, it->second.mapped);
    total_ -= it->second.size;
    it = ranges_.erase(it);
  }
}

uint8_t* HostRanges::find(uint64_t address, uint64_t size) const {
  auto it = ranges_.upper_bound(address);
  if (it == ranges_.begin()) return nullptr;
  --it;
  uint64_t offset = address - it->first;
  if (offset >= it->second.size || size > it->second.size - offset) return nullptr;
  return it->second.here + offset;
}

bool HostRanges::holds(uint64_t here) const {
  for (auto& [address, range] : ranges_) {
    if (here - reinterpret_cast<uint64_t>(range.here) < range.size) return true;
  }
  return false;
}

}  // namespace nm::server
