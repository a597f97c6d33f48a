#include "softgpu/launch.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "softgpu/function_attributes.h"
#include "softgpu/occupancy.h"

namespace nm::softgpu {
namespace {

constexpr uint32_t kMaxGridYZ = 65535;

void require_shape(const Function& function, const LaunchShape& s) {
  const ptx::KernelInfo& info = function.info();
  for (const uint32_t n : s.grid) require(n > 0);
  for (const uint32_t n : s.block) require(n > 0);
  require(s.grid[0] <= 0x7fffffffu && s.grid[1] <= kMaxGridYZ && s.grid[2] <= kMaxGridYZ);
  require(s.block[0] <= 1024 && s.block[1] <= 1024 && s.block[2] <= 64);
  const uint32_t threads = s.block[0] * s.block[1] * s.block[2];
  require(threads <= static_cast<uint32_t>(kMaxThreadsPerBlock));
  require(threads <= static_cast<uint32_t>(max_threads_of(info)), CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
  if (info.reqntid[0] != 0) {
    for (int i = 0; i < 3; ++i) require(s.block[i] == std::max(info.reqntid[i], 1u));
  }
  // The default limit is what fits 48 KiB together with the static part; more is granted by the attribute.
  require(s.shared <= static_cast<uint32_t>(function.settings->max_dynamic_shared));
  require(s.shared + info.static_shared <= static_cast<uint32_t>(kSharedPerBlockOptIn));
}

std::array<uint32_t, 3> cluster_of(const Function& function, const LaunchShape& s, const LaunchAttributes& attributes) {
  std::array<uint32_t, 3> cluster{};
  for (int i = 0; i < 3; ++i) cluster[i] = static_cast<uint32_t>(function.settings->cluster[i]);
  if (const auto* given = attributes.get(CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION)) {
    const std::array<uint32_t, 3> wanted = {given->clusterDim.x, given->clusterDim.y, given->clusterDim.z};
    require(cluster[0] == 0 || cluster == wanted);
    cluster = wanted;
  }
  if (cluster[0] == 0) return {};
  for (auto& n : cluster) n = std::max(n, 1u);
  const uint32_t most = function.settings->non_portable_cluster ? kMaxClusterNonPortable : kMaxCluster;
  require(cluster[0] * cluster[1] * cluster[2] <= most, CUDA_ERROR_INVALID_CLUSTER_SIZE);
  for (int i = 0; i < 3; ++i) require(s.grid[i] % cluster[i] == 0);
  return cluster;
}

}  // namespace

void LaunchAttributes::set(CUlaunchAttributeID id, const CUlaunchAttributeValue& value) {
  switch (id) {
    case CU_LAUNCH_ATTRIBUTE_IGNORE:
      return;
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
      require(value.clusterDim.x > 0 && value.clusterDim.y > 0 && value.clusterDim.z > 0);
      break;
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
      require(value.clusterSchedulingPolicyPreference <= CU_CLUSTER_SCHEDULING_POLICY_LOAD_BALANCING);
      break;
    case CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE:
      require(value.deviceUpdatableKernelNode.deviceUpdatable == 0, CUDA_ERROR_NOT_SUPPORTED);
      break;
    case CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
      require(value.sharedMemCarveout <= 100 || value.sharedMemCarveout == static_cast<uint32_t>(-1));
      break;
    case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
    case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
    case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
    case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
    case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT:
    case CU_LAUNCH_ATTRIBUTE_PRIORITY:
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
    case CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION:
    case CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT:
    case CU_LAUNCH_ATTRIBUTE_NVLINK_UTIL_CENTRIC_SCHEDULING:
      break;  // hints, or events that the caller records
    default:
      fail(CUDA_ERROR_INVALID_VALUE);
  }
  set_[id] = true;
  values_[id] = value;
}

void LaunchAttributes::set_all(const CUlaunchAttribute* attributes, unsigned count) {
  require(count == 0 || attributes != nullptr);
  for (unsigned i = 0; i < count; ++i) set(attributes[i].id, attributes[i].value);
}

KernelWork::KernelWork(FunctionPtr f, const LaunchShape& shape, std::vector<uint8_t> packed,
                       const LaunchAttributes& attributes)
    : module(std::static_pointer_cast<Module>(f->module.shared_from_this())),
      function(std::move(f)),
      shape(shape),
      params(std::move(packed)),
      attributes(attributes) {
  require_shape(*function, shape);
  cluster_ = cluster_of(*function, shape, attributes);
  const auto* cooperative = attributes.get(CU_LAUNCH_ATTRIBUTE_COOPERATIVE);
  cooperative_ = cooperative && cooperative->cooperative != 0;
  if (cooperative_) {
    const uint32_t threads = shape.block[0] * shape.block[1] * shape.block[2];
    const uint64_t fit =
        static_cast<uint64_t>(blocks_per_multiprocessor(function->info(), threads, shape.shared)) * kMultiprocessors;
    require(uint64_t{shape.grid[0]} * shape.grid[1] * shape.grid[2] <= fit, CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
  }
  for (const auto& param : function->info().params) {
    param_pointers.push_back(const_cast<uint8_t*>(params.data()) + param.offset);
  }
}

CUresult KernelWork::run(Context& context) const {
  ptx::Launch launch;
  launch.grid = shape.grid;
  launch.block = shape.block;
  launch.cluster = cluster_;
  launch.dynamic_shared = shape.shared;
  launch.params = params;
  launch.cooperative = cooperative_;
  launch.stack_bytes = static_cast<uint32_t>(context.limits.stack);
  launch.grid_id = context.driver.next_id();
  const auto heap = context.heap;  // a changed limit replaces it
  launch.heap = heap.get();
  bool printed = false;
  const auto print = [&](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    printed = true;
  };
  const ptx::Outcome outcome =
      ptx::run(function->kernel, launch, *module->memory, print, context.driver.threads, context.cancel_flag());
  if (printed) std::fflush(stdout);
  if (outcome.fault == ptx::Fault::none) return CUDA_SUCCESS;
  if (outcome.fault == ptx::Fault::cancelled) return context.error();
  // A failed assertion has said so itself.
  if (outcome.fault != ptx::Fault::assertion && !std::getenv("NEARMETAL_QUIET")) {
    std::fprintf(stderr, "nearmetal: software GPU: %s\n", outcome.detail.c_str());
  }
  return result_of(outcome.fault);
}

CUresult result_of(ptx::Fault fault) {
  switch (fault) {
    case ptx::Fault::none:
    case ptx::Fault::cancelled:
      return CUDA_SUCCESS;
    case ptx::Fault::illegal_address:
      return CUDA_ERROR_ILLEGAL_ADDRESS;
    case ptx::Fault::assertion:
      return CUDA_ERROR_ASSERT;
    case ptx::Fault::hardware_stack:
      return CUDA_ERROR_HARDWARE_STACK_ERROR;
    case ptx::Fault::illegal_instruction:
      return CUDA_ERROR_ILLEGAL_INSTRUCTION;
    case ptx::Fault::misaligned_address:
      return CUDA_ERROR_MISALIGNED_ADDRESS;
    case ptx::Fault::address_space:
      return CUDA_ERROR_INVALID_ADDRESS_SPACE;
    case ptx::Fault::invalid_pc:
      return CUDA_ERROR_INVALID_PC;
    case ptx::Fault::launch_failure:
      return CUDA_ERROR_LAUNCH_FAILED;
    case ptx::Fault::bad_launch:
      return CUDA_ERROR_INVALID_VALUE;
    case ptx::Fault::out_of_memory:
      return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
  }
  return CUDA_ERROR_UNKNOWN;
}

std::vector<uint8_t> pack_params(const ptx::KernelInfo& info, void** params, void** extra) {
  constexpr uintptr_t kEnd = 0, kPointer = 1, kSize = 2;
  require(params == nullptr || extra == nullptr);
  std::vector<uint8_t> packed(info.param_bytes);
  if (info.params.empty()) return packed;
  if (extra) {
    const void* buffer = nullptr;
    const size_t* size = nullptr;
    for (void** p = extra; reinterpret_cast<uintptr_t>(*p) != kEnd; p += 2) {
      const auto what = reinterpret_cast<uintptr_t>(*p);
      require(what == kPointer || what == kSize);
      (what == kPointer ? buffer : reinterpret_cast<const void*&>(size)) = p[1];
    }
    const auto& last = info.params.back();
    require(buffer != nullptr && size != nullptr && *size >= last.offset + last.size);
    std::memcpy(packed.data(), buffer, std::min<size_t>(*size, packed.size()));
    return packed;
  }
  require(params != nullptr);
  for (size_t i = 0; i < info.params.size(); ++i) {
    require(params[i] != nullptr);
    std::memcpy(packed.data() + info.params[i].offset, params[i], info.params[i].size);
  }
  return packed;
}

}  // namespace nm::softgpu
