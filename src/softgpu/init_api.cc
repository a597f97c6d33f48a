// cuInit and what works before it.
#include "softgpu/driver.h"
#include "softgpu/identity.h"

using namespace nm::softgpu;

extern "C" {

CUresult cuInit(unsigned flags) {
  CUresult result = CUDA_SUCCESS;
  const CUresult outer = guarded([&] { result = Driver::init(flags); });
  return outer == CUDA_SUCCESS ? result : outer;
}

CUresult cuDriverGetVersion(int* driver_version) {
  if (!driver_version) return CUDA_ERROR_INVALID_VALUE;
  *driver_version = kDriverVersion;
  return CUDA_SUCCESS;
}

}  // extern "C"
