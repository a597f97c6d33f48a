// GPU core dumps are made by the driver on the server's host, where this program's files are not: none are made, and
// the settings, which cannot be changed (docs/coverage.md), say so.
#include <string.h>

#include "client/client.h"
#include "client/context.h"

namespace nm::client {
namespace {

enum Setting {
  kOnException = 1,
  kTriggerHost = 2,
  kLightweight = 3,
  kUserTrigger = 4,
  kFile = 5,
  kPipe = 6,
  kGenerationFlags = 7
};

CUresult get(int setting, void* value, size_t* size) {
  if (CUresult e = enter()) return e;
  if (!size) return CUDA_ERROR_INVALID_VALUE;
  size_t needed;
  switch (setting) {
    case kOnException:
    case kTriggerHost:
    case kLightweight:
    case kUserTrigger:
      needed = sizeof(bool);
      break;
    case kFile:
    case kPipe:
      needed = 1;  // an empty name
      break;
    case kGenerationFlags:
      needed = sizeof(unsigned);
      break;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
  count_local();
  if (value) {
    if (*size < needed) return CUDA_ERROR_INVALID_VALUE;
    memset(value, 0, needed);
  }
  *size = needed;
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace nm::client

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuCoredumpGetAttribute(CUcoredumpSettings setting, void* value, size_t* size) {
  if (CUresult e = enter()) return e;
  return current_context() ? get(setting, value, size) : CUDA_ERROR_INVALID_CONTEXT;
}

NM_EXPORT CUresult cuCoredumpGetAttributeGlobal(CUcoredumpSettings setting, void* value, size_t* size) {
  return get(setting, value, size);
}

}  // extern "C"
