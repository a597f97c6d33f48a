#include "softgpu/function_attributes.h"

#include <algorithm>

namespace nm::softgpu {

int max_threads_of(const ptx::KernelInfo& info) {
  return std::clamp(static_cast<int>(info.max_threads), 1, kMaxThreadsPerBlock);
}

int registers_of(const ptx::KernelInfo& info) {
  const int warps = (max_threads_of(info) + kWarp - 1) / kWarp;
  const int most = std::min(255, kRegistersPerMultiprocessor / (warps * kWarp) / 8 * 8);
  return std::clamp(static_cast<int>(info.registers), 1, most);
}

int function_attribute(const ptx::KernelInfo& info, const FunctionSettings& settings, CUfunction_attribute attribute) {
  switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      return max_threads_of(info);
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
      return static_cast<int>(info.static_shared);
    case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
      return static_cast<int>(info.const_bytes);
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
      return static_cast<int>(info.local_bytes);
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
      return registers_of(info);
    case CU_FUNC_ATTRIBUTE_PTX_VERSION:
      return static_cast<int>(info.target_sm);
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
      return kComputeMajor * 10 + kComputeMinor;
    case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA:
      return 0;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
      return settings.max_dynamic_shared;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
      return settings.carveout;
    case CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET:
      return 0;
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
      return settings.cluster[attribute - CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH];
    case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
      return settings.non_portable_cluster;
    case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
      return settings.cluster_policy;
    default:
      fail(CUDA_ERROR_INVALID_VALUE);
  }
}

void set_function_attribute(const ptx::KernelInfo& info, FunctionSettings& settings, CUfunction_attribute attribute,
                            int value) {
  switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
      require(value >= 0 && value + static_cast<int>(info.static_shared) <= kSharedPerBlockOptIn);
      settings.max_dynamic_shared = value;
      return;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
      require(value >= -1 && value <= 100);
      settings.carveout = value;
      return;
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
      require(value >= 0 && info.cluster_dims[0] == 0, CUDA_ERROR_NOT_PERMITTED);  // fixed where the code says so
      settings.cluster[attribute - CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH] = value;
      return;
    case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
      require(value == 0 || value == 1);
      settings.non_portable_cluster = value;
      return;
    case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
      require(value >= CU_CLUSTER_SCHEDULING_POLICY_DEFAULT && value <= CU_CLUSTER_SCHEDULING_POLICY_LOAD_BALANCING);
      settings.cluster_policy = value;
      return;
    default:
      fail(CUDA_ERROR_INVALID_VALUE);
  }
}

void parameter_info(const ptx::KernelInfo& info, size_t index, size_t* offset, size_t* size) {
  require(offset != nullptr && index < info.params.size());
  *offset = info.params[index].offset;
  if (size) *size = info.params[index].size;
}

}  // namespace nm::softgpu
