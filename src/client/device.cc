// Questions about devices: all answered from the facts that came with cuInit.
#include <stdio.h>
#include <string.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "client/client.h"

using namespace nm::client;

namespace {

// The device's facts, or why there are none.
CUresult device(CUdevice dev, const nm::wire::DeviceFacts** out) {
  if (CUresult e = enter()) return e;
  *out = device_facts(dev);
  if (!*out) return CUDA_ERROR_INVALID_DEVICE;
  count_local();
  return CUDA_SUCCESS;
}

CUresult attribute(const nm::wire::DeviceFacts& facts, int number, int* value) {
  if (number < 1 || static_cast<size_t>(number) >= facts.attribute_result.size()) return CUDA_ERROR_INVALID_VALUE;
  if (int e = facts.attribute_result[number]) return static_cast<CUresult>(e);
  *value = facts.attribute_value[number];
  return CUDA_SUCCESS;
}

// What this client cannot do whatever the device could: the program must see our answer, not the driver's.
bool overridden(int number, int* value) {
  switch (number) {
    case CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM:  // registered memory is mirrored
    case CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS:                   // the device sees the worker's pages, not ours
    case CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES:
    case CU_DEVICE_ATTRIBUTE_DIRECT_MANAGED_MEM_ACCESS_FROM_HOST:
    case CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_FABRIC_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_MULTICAST_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED:
      *value = 0;
      return true;
    case CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS:
      *value = Client::get()->channel().shares_memory();
      return true;
    case CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED:
      if (Client::get()->channel().shares_memory()) return false;
      *value = 0;
      return true;
    default:
      return false;
  }
}

}  // namespace

extern "C" {

NM_EXPORT CUresult cuDeviceGetCount(int* count) {
  if (CUresult e = enter()) return e;
  if (!count) return CUDA_ERROR_INVALID_VALUE;
  *count = static_cast<int>(Client::get()->facts().devices.size());
  count_local();
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuDeviceGet(CUdevice* out, int ordinal) {
  if (CUresult e = enter()) return e;
  if (!out) return CUDA_ERROR_INVALID_VALUE;
  if (!device_facts(ordinal)) return CUDA_ERROR_INVALID_DEVICE;
  *out = ordinal;
  count_local();
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuDeviceGetName(char* name, int len, CUdevice dev) {
  const nm::wire::DeviceFacts* facts;
  if (CUresult e = device(dev, &facts)) return e;
  if (!name || len <= 0) return CUDA_ERROR_INVALID_VALUE;
  snprintf(name, static_cast<size_t>(len), "%s", facts->name.c_str());
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice dev) {
  const nm::wire::DeviceFacts* facts;
  if (CUresult e = device(dev, &facts)) return e;
  if (!uuid) return CUDA_ERROR_INVALID_VALUE;
  memcpy(uuid, facts->uuid.data(), facts->uuid.size());
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice dev) { return cuDeviceGetUuid_v2(uuid, dev); }

NM_EXPORT CUresult cuDeviceGetLuid(char* luid, unsigned* node_mask, CUdevice dev) {
  const nm::wire::DeviceFacts* facts;
  if (CUresult e = device(dev, &facts)) return e;
  if (facts->luid_result) return static_cast<CUresult>(facts->luid_result);
  if (!luid || !node_mask) return CUDA_ERROR_INVALID_VALUE;
  memcpy(luid, facts->luid.data(), facts->luid.size());
  *node_mask = facts->node_mask;
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice dev) {
  const nm::wire::DeviceFacts* facts;
  if (CUresult e = device(dev, &facts)) return e;
  if (!bytes) return CUDA_ERROR_INVALID_VALUE;
  *bytes = facts->total_memory;
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attrib, CUdevice dev) {
  const nm::wire::DeviceFacts* facts;
  if (CUresult e = device(dev, &facts)) return e;
  if (!value) return CUDA_ERROR_INVALID_VALUE;
  if (overridden(attrib, value)) return CUDA_SUCCESS;
  return attribute(*facts, attrib, value);
}

NM_EXPORT CUresult cuDeviceComputeCapability(int* major, int* minor, CUdevice dev) {
  const nm::wire::DeviceFacts* facts;
  if (CUresult e = device(dev, &facts)) return e;
  if (!major || !minor) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = attribute(*facts, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, major)) return e;
  return attribute(*facts, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, minor);
}

NM_EXPORT CUresult cuDeviceGetProperties(CUdevprop* prop, CUdevice dev) {
  const nm::wire::DeviceFacts* facts;
  if (CUresult e = device(dev, &facts)) return e;
  if (!prop) return CUDA_ERROR_INVALID_VALUE;
  struct { int number; int* to; } fields[] = {
      {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, &prop->maxThreadsPerBlock},
      {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, &prop->maxThreadsDim[0]},
      {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, &prop->maxThreadsDim[1]},
      {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, &prop->maxThreadsDim[2]},
      {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, &prop->maxGridSize[0]},
      {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, &prop->maxGridSize[1]},
      {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, &prop->maxGridSize[2]},
      {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, &prop->sharedMemPerBlock},
      {CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY, &prop->totalConstantMemory},
      {CU_DEVICE_ATTRIBUTE_WARP_SIZE, &prop->SIMDWidth},
      {CU_DEVICE_ATTRIBUTE_MAX_PITCH, &prop->memPitch},
      {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, &prop->regsPerBlock},
      {CU_DEVICE_ATTRIBUTE_CLOCK_RATE, &prop->clockRate},
      {CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT, &prop->textureAlign},
  };
  for (auto& f : fields) {
    if (CUresult e = attribute(*facts, f.number, f.to)) return e;
  }
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuDeviceGetPCIBusId(char* id, int len, CUdevice dev) {
  const nm::wire::DeviceFacts* facts;
  if (CUresult e = device(dev, &facts)) return e;
  if (!id || len <= static_cast<int>(facts->pci_bus_id.size())) return CUDA_ERROR_INVALID_VALUE;
  snprintf(id, static_cast<size_t>(len), "%s", facts->pci_bus_id.c_str());
  return CUDA_SUCCESS;
}

// Accepts domain:bus:device.function, domain:bus:device and bus:device.function, in hexadecimal.
NM_EXPORT CUresult cuDeviceGetByPCIBusId(CUdevice* dev, const char* id) {
  if (CUresult e = enter()) return e;
  if (!dev || !id) return CUDA_ERROR_INVALID_VALUE;
  // Not sscanf: a C library of 2024 binds it to a symbol that those of 2021 lack.
  auto parse = [](std::string_view text, unsigned out[4]) {
    size_t n = std::count(text.begin(), text.end(), ':') == 2 ? 0 : 1;  // where a domain is missing, it is 0
    out[0] = 0;
    for (const char *at = text.data(), *end = at + text.size(); n < 4; at++) {
      auto [next, error] = std::from_chars(at, end, out[n], 16);
      if (error != std::errc()) return false;
      n++;
      if (next == end || (*next != ':' && *next != '.')) break;
      at = next;
    }
    return n >= 3;
  };
  unsigned wanted[4] = {}, has[4];
  if (!parse(id, wanted)) return CUDA_ERROR_INVALID_VALUE;
  const auto& devices = Client::get()->facts().devices;
  for (size_t i = 0; i < devices.size(); i++) {
    if (parse(devices[i].pci_bus_id.c_str(), has) && std::equal(wanted, wanted + 3, has)) {
      *dev = static_cast<CUdevice>(i);
      count_local();
      return CUDA_SUCCESS;
    }
  }
  return CUDA_ERROR_INVALID_DEVICE;
}

}  // extern "C"
