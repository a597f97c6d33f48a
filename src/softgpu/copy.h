// Copies and fills: checked when they are asked for, run in a stream or from a graph node. One shape carries them all,
// the three-dimensional copy.
#pragma once

#include "softgpu/context.h"

namespace nm::softgpu {

class CopyWork final : public Work {
 public:
  // Checks the parameters against what is allocated; INVALID_VALUE where they do not fit. `context`: of a graph node.
  CopyWork(Driver& driver, const CUDA_MEMCPY3D& params, ContextPtr context = nullptr);
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_MEMCPY; }
  CUresult run(Context& context) const override;

  const CUDA_MEMCPY3D params;
  const ContextPtr context;
  // Host memory that the driver does not know: a copy from there is taken when it is asked for, a copy to there has
  // happened when the call returns.
  bool pageable_source() const { return source_.pageable; }
  bool pageable_target() const { return target_.pageable; }
  uint64_t bytes() const { return params.WidthInBytes * params.Height * params.Depth; }
  bool contiguous_source() const { return params.Height * params.Depth == 1; }
  const uint8_t* source() const { return source_.at; }
  uint8_t* target() const { return target_.at; }

 private:
  struct Side {
    uint8_t* at = nullptr;
    size_t pitch = 0;
    size_t slice = 0;
    bool pageable = false;
    std::shared_ptr<Object> keep;
  };
  static Side resolve(Driver& driver, CUmemorytype type, const void* host, CUdeviceptr device, CUarray array, size_t x,
                      size_t y, size_t z, size_t pitch, size_t height, const CUDA_MEMCPY3D& params);
  Side source_, target_;
};

class FillWork final : public Work {
 public:
  FillWork(Driver& driver, const CUDA_MEMSET_NODE_PARAMS& params, ContextPtr context = nullptr);
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_MEMSET; }
  CUresult run(Context& context) const override;
  const CUDA_MEMSET_NODE_PARAMS params;
  const ContextPtr context;
};

// A copy of `bytes` between two addresses, each of them host, device or (unified) whatever it is.
CUDA_MEMCPY3D linear_copy(CUmemorytype to_type, uint64_t to, CUmemorytype from_type, uint64_t from, size_t bytes);

}  // namespace nm::softgpu
