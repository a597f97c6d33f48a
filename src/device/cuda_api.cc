#include "device/cuda_api.h"

#include <dlfcn.h>

#include <string>

#include "device/device.h"

namespace nm::device {
namespace {

CudaApi load() {
  void* const library = dlopen("libcuda.so.1", RTLD_NOW);
  if (!library) {
    throw Unsupported(std::string("There is no CUDA driver here: ") + dlerror() +
                      ". Install NVIDIA's driver, or run this with `nearmetal run`.");
  }
  CudaApi api;
#define NM_FIND(name)                                                                    \
  if (api.name = reinterpret_cast<decltype(api.name)>(dlsym(library, #name)); !api.name) \
    throw Unsupported("The CUDA driver here has no function " #name ": it is older than CUDA 11.0.");
  NM_CUDA_FUNCTIONS(NM_FIND)
#undef NM_FIND
#define NM_FIND(name) api.name = reinterpret_cast<decltype(api.name)>(dlsym(library, #name));
  NM_CUDA_OPTIONAL_FUNCTIONS(NM_FIND)
#undef NM_FIND
  if (const CUresult result = api.cuInit(0)) {
    const char* name = nullptr;
    if (api.cuGetErrorName(result, &name) || !name) name = "an unknown error";
    const std::string sentence = std::string("The CUDA driver does not start: cuInit answered ") + name + ".";
    if (result == CUDA_ERROR_NO_DEVICE) throw Unsupported(sentence);
    throw Failure(sentence);
  }
  return api;
}

}  // namespace

const CudaApi& cuda_api() {
  static const CudaApi api = load();
  return api;
}

void cuda_failed(const char* function, CUresult result) {
  const char* name = nullptr;
  if (cuda_api().cuGetErrorName(result, &name) || !name) name = "an unknown error";
  throw Failure(std::string(function) + " answered " + name + " (" + std::to_string(static_cast<int>(result)) + ").");
}

}  // namespace nm::device
