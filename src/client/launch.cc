// Kernel launches: checked against what is known of the kernel, packed, posted. No launch waits for a reply.
#include <string.h>

#include <vector>

#include "client/call.h"
#include "client/capture.h"
#include "client/client.h"
#include "client/context.h"
#include "client/function.h"
#include "client/handles.h"
#include "client/host_memory.h"
#include "client/launch.h"
#include "client/thread_state.h"
#include "remote.h"

namespace nm::client {
namespace {

constexpr uint64_t kExtraEnd = 0, kExtraPointer = 1, kExtraSize = 2;  // CU_LAUNCH_PARAM_*
constexpr unsigned kMaxAttributes = 64;
constexpr unsigned kLastAttribute = CU_LAUNCH_ATTRIBUTE_NVLINK_UTIL_CENTRIC_SCHEDULING;  // of driver 580

enum class Form : uint32_t { plain = 0, extended = 1, cooperative = 2 };

int known_attribute(const Function& f, int number) {
  const auto& values = f.facts.attribute_value;
  bool there = static_cast<size_t>(number) < values.size() && f.facts.attribute_result[number] == 0;
  return there ? values[number] : 0;
}

const wire::DeviceFacts* current_device_facts() {
  CUdevice device;
  return context_device(current_context(), &device) ? device_facts(device) : nullptr;
}

// 0: unknown.
int device_limit(const wire::DeviceFacts* facts, int number) {
  return facts && static_cast<size_t>(number) < facts->attribute_value.size() ? facts->attribute_value[number] : 0;
}

// What the driver refuses at the call, so that the error belongs to this launch and not to a later call.
CUresult check_limits(const Function& f, const LaunchShape& l) {
  if (!l.grid[0] || !l.grid[1] || !l.grid[2] || !l.block[0] || !l.block[1] || !l.block[2]) return CUDA_ERROR_INVALID_VALUE;
  const wire::DeviceFacts* facts = current_device_facts();
  for (int i = 0; i < 3; i++) {
    int grid = device_limit(facts, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X + i);
    int block = device_limit(facts, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X + i);
    if ((grid && l.grid[i] > static_cast<unsigned>(grid)) || (block && l.block[i] > static_cast<unsigned>(block))) {
      return CUDA_ERROR_INVALID_VALUE;
    }
  }
  uint64_t threads = uint64_t{l.block[0]} * l.block[1] * l.block[2];
  int most = device_limit(facts, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
  if (most && threads > static_cast<uint64_t>(most)) return CUDA_ERROR_INVALID_VALUE;
  int of_kernel = known_attribute(f, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
  if (of_kernel && threads > static_cast<uint64_t>(of_kernel)) return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
  int shared = known_attribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
  if (shared && l.shared > static_cast<unsigned>(shared)) return CUDA_ERROR_INVALID_VALUE;
  return CUDA_SUCCESS;
}

// The blocks of a cooperative launch wait for one another, so all must fit at once.
CUresult check_cooperative(CUfunction function, const LaunchShape& l) {
  int per_multiprocessor = 0;
  int threads = static_cast<int>(l.block[0] * l.block[1] * l.block[2]);
  if (CUresult e = cuOccupancyMaxActiveBlocksPerMultiprocessor(&per_multiprocessor, function, threads, l.shared)) return e;
  uint64_t most = uint64_t(per_multiprocessor) * uint64_t(device_limit(current_device_facts(), CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT));
  uint64_t blocks = uint64_t{l.grid[0]} * l.grid[1] * l.grid[2];
  return blocks > most ? CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE : CUDA_SUCCESS;
}

CUresult check_shape_attributes(CUfunction function, const LaunchShape& l, const CUlaunchAttribute* attributes, unsigned count) {
  constexpr unsigned kMostBlocksOfACluster = 16;  // with the non-portable size allowed
  for (unsigned i = 0; i < count; i++) {
    const CUlaunchAttribute& a = attributes[i];
    if (a.id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE && a.value.cooperative) {
      if (CUresult e = check_cooperative(function, l)) return e;
    }
    if (a.id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) {
      uint64_t x = a.value.clusterDim.x, y = a.value.clusterDim.y, z = a.value.clusterDim.z;
      if (!x || !y || !z || x * y * z > kMostBlocksOfACluster) return CUDA_ERROR_INVALID_CLUSTER_SIZE;
      if (l.grid[0] % x || l.grid[1] % y || l.grid[2] % z) return CUDA_ERROR_INVALID_VALUE;
    }
  }
  return CUDA_SUCCESS;
}

// Events that a captured launch records belong to the capture as any that are recorded in its stream.
void note_launch_events(const CUlaunchAttribute* attributes, size_t count, CUstream stream) {
  for (size_t i = 0; i < count; i++) {
    const CUlaunchAttribute& a = attributes[i];
    if (a.id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT) note_event_record(a.value.programmaticEvent.event, stream);
    if (a.id == CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT) note_event_record(a.value.launchCompletionEvent.event, stream);
  }
}

CUresult launch(Form form, CUfunction function, const LaunchShape& shape, CUstream stream, const void* attributes,
                size_t attribute_bytes, void** params, void** extra) {
  if (CUresult e = enter()) return e;
  if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT;
  Function* f;
  if (CUresult e = find_function(as_handle(function), &f)) return e;
  if (CUresult e = check_limits(*f, shape)) return e;
  if (form == Form::cooperative) {
    if (CUresult e = check_cooperative(function, shape)) return e;
  } else if (attribute_bytes) {
    auto* list = static_cast<const CUlaunchAttribute*>(attributes);
    if (CUresult e = check_shape_attributes(function, shape, list, attribute_bytes / sizeof *list)) return e;
  }
  std::vector<uint8_t>& packed = thread_state().parameters;
  if (CUresult e = pack_parameters(*f, params, extra, &packed)) return e;
  before_launch(packed.data(), packed.size());
  if (attribute_bytes && active_captures()) [[unlikely]] {
    auto* list = static_cast<const CUlaunchAttribute*>(attributes);
    note_launch_events(list, attribute_bytes / sizeof *list, stream);
  }
  return remote::nm_launch(function, shape.grid[0], shape.grid[1], shape.grid[2], shape.block[0], shape.block[1],
                           shape.block[2], shape.shared, stream, static_cast<uint32_t>(form), attributes, attribute_bytes,
                           packed.data(), packed.size());
}

}  // namespace

CUresult pack_parameters(Function& f, void** params, void** extra, std::vector<uint8_t>* out) {
  if (params && extra) return CUDA_ERROR_INVALID_VALUE;
  out->clear();
  if (extra) {
    const void* buffer = nullptr;
    size_t size = 0;
    for (int i = 0; i < 8; i += 2) {
      uint64_t key = reinterpret_cast<uint64_t>(extra[i]);
      if (key == kExtraEnd) break;
      if (key == kExtraPointer) buffer = extra[i + 1];
      else if (key == kExtraSize) size = *static_cast<size_t*>(extra[i + 1]);
      else return CUDA_ERROR_INVALID_VALUE;
    }
    if (size > wire::kMaxRecord / 2 || (size && !buffer)) return CUDA_ERROR_INVALID_VALUE;
    auto* bytes = static_cast<const uint8_t*>(buffer);
    out->assign(bytes, bytes + size);
    return CUDA_SUCCESS;
  }
  if (!f.facts.parameters.empty() && !params) return CUDA_ERROR_INVALID_VALUE;
  out->resize(f.parameter_bytes);
  for (size_t i = 0; i < f.facts.parameters.size(); i++) {
    auto [offset, size] = f.facts.parameters[i];
    if (!params[i]) return CUDA_ERROR_INVALID_VALUE;
    memcpy(out->data() + offset, params[i], size);
  }
  return CUDA_SUCCESS;
}

CUresult check_launch_attributes(const CUlaunchAttribute* attributes, unsigned count) {
  if (count > kMaxAttributes || (count && !attributes)) return CUDA_ERROR_INVALID_VALUE;
  for (unsigned i = 0; i < count; i++) {
    if (static_cast<unsigned>(attributes[i].id) > kLastAttribute) return CUDA_ERROR_INVALID_VALUE;
    uint64_t event = 0;
    if (attributes[i].id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT) event = as_handle(attributes[i].value.programmaticEvent.event);
    if (attributes[i].id == CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT) {
      event = as_handle(attributes[i].value.launchCompletionEvent.event);
    }
    if (event) {
      if (CUresult e = check_handle(Kind::event, event, true)) return e;
    }
  }
  return CUDA_SUCCESS;
}

}  // namespace nm::client

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                                  unsigned shared, CUstream stream, void** params, void** extra) {
  return launch(Form::plain, f, {{gx, gy, gz}, {bx, by, bz}, shared}, stream, nullptr, 0, params, extra);
}

NM_EXPORT CUresult cuLaunchCooperativeKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                                             unsigned bz, unsigned shared, CUstream stream, void** params) {
  return launch(Form::cooperative, f, {{gx, gy, gz}, {bx, by, bz}, shared}, stream, nullptr, 0, params, nullptr);
}

NM_EXPORT CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction f, void** params, void** extra) {
  if (!config) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = enter()) return e;
  if (CUresult e = check_launch_attributes(config->attrs, config->numAttrs)) return e;
  for (unsigned i = 0; i < config->numAttrs; i++) {
    // The node's handle is written at the call, so this one form of launch cannot be posted.
    if (config->attrs[i].id == CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE &&
        config->attrs[i].value.deviceUpdatableKernelNode.deviceUpdatable) {
      return not_supported("cuLaunchKernelEx with a device-updatable node");
    }
  }
  return launch(Form::extended, f,
                {{config->gridDimX, config->gridDimY, config->gridDimZ},
                 {config->blockDimX, config->blockDimY, config->blockDimZ},
                 config->sharedMemBytes},
                config->hStream, config->attrs, config->numAttrs * sizeof(CUlaunchAttribute), params, extra);
}

}  // extern "C"
