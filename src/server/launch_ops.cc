// Launches, their attributes, and functions of the host in stream order.
#include <cstring>

#include "server/launch_ops.h"
#include "server/session.h"
#include "server_args.h"

namespace nm::server {
namespace {

enum Form : uint32_t { kPlain = 0, kExtended = 1, kCooperative = 2 };
enum HostForm : uint32_t { kLaunched = 0, kCallback = 1 };

}  // namespace

bool to_driver(Session& s, CUlaunchAttributeID id, CUlaunchAttributeValue* value) {
  auto& events = s.tables().event;
  if (id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT) {
    auto& e = value->programmaticEvent.event;
    return events.find_or_null(e, &e);
  }
  if (id == CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT) {
    auto& e = value->launchCompletionEvent.event;
    return events.find_or_null(e, &e);
  }
  // The driver's to say, not the client's.
  if (id == CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE) value->deviceUpdatableKernelNode.devNode = {};
  return true;
}

void to_client(Session& s, CUlaunchAttributeID id, CUlaunchAttributeValue* value) {
  auto translate = [&](CUevent& e) {
    // Not one that the client has destroyed since: a new handle would lead to memory that the driver has freed.
    if (s.tables().event.knows(e))
      s.tables().event.to_virtual(&e);
    else
      e = nullptr;
  };
  if (id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT) translate(value->programmaticEvent.event);
  if (id == CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT) translate(value->launchCompletionEvent.event);
}

bool decode_launch_attributes(Session& s, std::span<const uint8_t> bytes, std::vector<CUlaunchAttribute>* out) {
  constexpr size_t kMost = 64;
  if (bytes.size() % sizeof(CUlaunchAttribute) || bytes.size() / sizeof(CUlaunchAttribute) > kMost) return false;
  out->resize(bytes.size() / sizeof(CUlaunchAttribute));
  if (!bytes.empty()) std::memcpy(static_cast<void*>(out->data()), bytes.data(), bytes.size());
  for (CUlaunchAttribute& a : *out) {
    if (!to_driver(s, a.id, &a.value)) return false;
    // Its handle would have nobody to go to.
    if (a.id == CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE) a.value.deviceUpdatableKernelNode.deviceUpdatable = 0;
  }
  return true;
}

namespace hand {

CUresult nm_launch(Session& s, args::nm_launch& a, outs::nm_launch&) {
  const DriverTable& d = s.driver();
  size_t size = a.params.size();
  // SAFETY: the driver reads the buffer during the call and writes nothing to it.
  void* extra[] = {kLaunchPointer, const_cast<uint8_t*>(a.params.data()), kLaunchSize, &size, nullptr};
  void** params = size ? extra : nullptr;
  if (a.form == kPlain) {
    return d.cuLaunchKernel(a.function, a.grid_x, a.grid_y, a.grid_z, a.block_x, a.block_y, a.block_z, a.shared,
                            a.stream, nullptr, params);
  }
  std::vector<CUlaunchAttribute> attributes;
  if (!decode_launch_attributes(s, a.attributes, &attributes)) return CUDA_ERROR_INVALID_VALUE;
  if (a.form == kCooperative) {
    CUlaunchAttribute cooperative{};
    cooperative.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
    cooperative.value.cooperative = 1;
    attributes.push_back(cooperative);
  } else if (a.form != kExtended) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (!d.cuLaunchKernelEx) return CUDA_ERROR_NOT_SUPPORTED;
  CUlaunchConfig config{};
  config.gridDimX = a.grid_x, config.gridDimY = a.grid_y, config.gridDimZ = a.grid_z;
  config.blockDimX = a.block_x, config.blockDimY = a.block_y, config.blockDimZ = a.block_z;
  config.sharedMemBytes = a.shared;
  config.hStream = a.stream;
  config.attrs = attributes.data();
  config.numAttrs = static_cast<unsigned>(attributes.size());
  return d.cuLaunchKernelEx(&config, a.function, nullptr, params);
}

CUresult nm_host_function(Session& s, args::nm_host_function& a, outs::nm_host_function&) {
  void* function = s.host_functions().make(a.token);
  if (a.form == kLaunched) return s.driver().cuLaunchHostFunc(a.stream, HostFunctions::run, function);
  if (a.form == kCallback) return s.driver().cuStreamAddCallback(a.stream, HostFunctions::run_callback, function, 0);
  return CUDA_ERROR_INVALID_VALUE;
}

CUresult nm_occupancy_clusters(Session& s, args::nm_occupancy_clusters& a, outs::nm_occupancy_clusters& o) {
  std::vector<CUlaunchAttribute> attributes;
  if (!decode_launch_attributes(s, a.attributes, &attributes)) return CUDA_ERROR_INVALID_VALUE;
  CUlaunchConfig config{};
  config.gridDimX = a.grid_x, config.gridDimY = a.grid_y, config.gridDimZ = a.grid_z;
  config.blockDimX = a.block_x, config.blockDimY = a.block_y, config.blockDimZ = a.block_z;
  config.sharedMemBytes = a.shared;
  config.hStream = a.stream;
  config.attrs = attributes.data();
  config.numAttrs = static_cast<unsigned>(attributes.size());
  auto* ask = a.form == 0 ? s.driver().cuOccupancyMaxActiveClusters : s.driver().cuOccupancyMaxPotentialClusterSize;
  return ask ? ask(&o.number, a.function, &config) : CUDA_ERROR_NOT_SUPPORTED;
}

// The same attributes, one by one: of streams and of kernel nodes.

CUresult cuStreamSetAttribute(Session& s, args::cuStreamSetAttribute& a, outs::cuStreamSetAttribute&) {
  if (!s.driver().cuStreamSetAttribute) return CUDA_ERROR_NOT_SUPPORTED;
  if (!to_driver(s, a.attr, &a.param)) return CUDA_ERROR_INVALID_VALUE;
  return s.driver().cuStreamSetAttribute(a.stream, a.attr, &a.param);
}

CUresult cuStreamGetAttribute(Session& s, args::cuStreamGetAttribute& a, outs::cuStreamGetAttribute& o) {
  if (!s.driver().cuStreamGetAttribute) return CUDA_ERROR_NOT_SUPPORTED;
  if (CUresult e = s.driver().cuStreamGetAttribute(a.stream, a.attr, &o.value)) return e;
  to_client(s, a.attr, &o.value);
  return CUDA_SUCCESS;
}

CUresult cuGraphKernelNodeSetAttribute(Session& s, args::cuGraphKernelNodeSetAttribute& a,
                                       outs::cuGraphKernelNodeSetAttribute&) {
  if (!s.driver().cuGraphKernelNodeSetAttribute) return CUDA_ERROR_NOT_SUPPORTED;
  if (!to_driver(s, a.attr, &a.value)) return CUDA_ERROR_INVALID_VALUE;
  return s.driver().cuGraphKernelNodeSetAttribute(a.node, a.attr, &a.value);
}

CUresult cuGraphKernelNodeGetAttribute(Session& s, args::cuGraphKernelNodeGetAttribute& a,
                                       outs::cuGraphKernelNodeGetAttribute& o) {
  if (!s.driver().cuGraphKernelNodeGetAttribute) return CUDA_ERROR_NOT_SUPPORTED;
  if (CUresult e = s.driver().cuGraphKernelNodeGetAttribute(a.node, a.attr, &o.value_out)) return e;
  to_client(s, a.attr, &o.value_out);
  return CUDA_SUCCESS;
}

}  // namespace hand
}  // namespace nm::server
