// Kernel launches: checked when they are asked for, run in a stream or from a graph node.
#pragma once

#include <array>
#include <vector>

#include "softgpu/module.h"

namespace nm::softgpu {

inline constexpr int kMaxCluster = 8, kMaxClusterNonPortable = 16;
inline constexpr size_t kLaunchAttributes = 20;  // their ids are below

struct LaunchShape {
  std::array<uint32_t, 3> grid, block;
  uint32_t shared = 0;
};

// The attributes of a launch by their ids; unset ones are not there.
class LaunchAttributes {
 public:
  // INVALID_VALUE for an unknown id or an impossible value, NOT_SUPPORTED for one that the device cannot honour.
  void set(CUlaunchAttributeID id, const CUlaunchAttributeValue& value);
  const CUlaunchAttributeValue* get(CUlaunchAttributeID id) const { return set_[id] ? &values_[id] : nullptr; }
  void set_all(const CUlaunchAttribute* attributes, unsigned count);

 private:
  std::array<bool, kLaunchAttributes> set_ = {};
  std::array<CUlaunchAttributeValue, kLaunchAttributes> values_ = {};
};

class KernelWork final : public Work {
 public:
  // Checks everything that can be known before the launch. `params` holds the packed parameters.
  KernelWork(FunctionPtr function, const LaunchShape& shape, std::vector<uint8_t> params,
             const LaunchAttributes& attributes);
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_KERNEL; }
  CUresult run(Context& context) const override;

  const std::shared_ptr<Module> module;  // keeps the code
  const FunctionPtr function;
  const LaunchShape shape;
  const std::vector<uint8_t> params;
  const LaunchAttributes attributes;
  // Where each parameter lies in `params`: what cuGraphKernelNodeGetParams answers with.
  mutable std::vector<void*> param_pointers;

 private:
  std::array<uint32_t, 3> cluster_{};
  bool cooperative_ = false;
};

// The parameter buffer of a launch from one of the two forms that the API has; INVALID_VALUE where they do not fit.
std::vector<uint8_t> pack_params(const ptx::KernelInfo& info, void** params, void** extra);
CUresult result_of(ptx::Fault fault);

}  // namespace nm::softgpu
