// The memory that graphs allocate on a device.
#include <string.h>

#include "client/client.h"
#include "remote.h"

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuDeviceGetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attribute, void* value) {
  if (!value) return CUDA_ERROR_INVALID_VALUE;
  unsigned long long v = 0;
  if (CUresult e = remote::nm_graph_mem_attribute(device, attribute, &v, 0)) return e;
  memcpy(value, &v, sizeof v);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuDeviceSetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attribute, void* value) {
  if (!value) return CUDA_ERROR_INVALID_VALUE;
  unsigned long long v;
  memcpy(&v, value, sizeof v);
  return remote::nm_graph_mem_attribute(device, attribute, &v, 1);
}

}  // extern "C"
