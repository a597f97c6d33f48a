#include "client/mapping.h"

#include <map>
#include <shared_mutex>

#include "client/client.h"
#include "remote.h"

namespace nm::client {
namespace {

std::shared_mutex g_mutex;
std::map<uint64_t, Mapping>& mappings() {
  static auto* all = new std::map<uint64_t, Mapping>;
  return *all;
}

}  // namespace

std::optional<Mapping> find_mapping(uint64_t address) {
  std::shared_lock lock(g_mutex);
  auto it = mappings().upper_bound(address);
  if (it == mappings().begin()) return std::nullopt;
  --it;
  if (address - it->first >= it->second.size) return std::nullopt;
  return it->second;
}

}  // namespace nm::client

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuMemMap(CUdeviceptr ptr, size_t size, size_t offset, CUmemGenericAllocationHandle handle,
                            unsigned long long flags) {
  if (CUresult e = remote::cuMemMap(ptr, size, offset, handle, flags)) return e;
  std::unique_lock lock(g_mutex);
  mappings()[ptr] = {ptr, size, std::make_shared<RangeNotes>()};
  return CUDA_SUCCESS;
}

// Posted. What is unmapped must be whole mappings, or the driver will say so at the next call.
NM_EXPORT CUresult cuMemUnmap(CUdeviceptr ptr, size_t size) {
  if (CUresult e = remote::cuMemUnmap(ptr, size)) return e;
  std::unique_lock lock(g_mutex);
  auto it = mappings().lower_bound(ptr);
  while (it != mappings().end() && it->first - ptr < size) it = mappings().erase(it);
  return CUDA_SUCCESS;
}

}  // extern "C"
