// A copy whose host ends are checked: slots, or memory that the client shares. Nothing else of this process.
#pragma once

#include <cstdint>

#include "cuda_abi.h"
#include "server/graph_slots.h"

namespace nm::server {

class Session;

class GraphCopy {
 public:
  // Makes the slots that `src_slot` and `dst_slot` number (0: that end is not one). INVALID_VALUE: a host end that is
  // neither a slot nor shared, or a box that does not fit.
  CUresult prepare(Session& s, const CUDA_MEMCPY3D_PEER& copy, uint64_t src_slot, uint64_t dst_slot);
  // In a stream that is being captured.
  CUresult submit(Session& s, CUstream stream) const;

  const CUDA_MEMCPY3D& params() const { return params_; }
  const GraphSlots::Ref& src() const { return src_; }
  const GraphSlots::Ref& dst() const { return dst_; }

 private:
  CUDA_MEMCPY3D params_{};
  GraphSlots::Ref src_, dst_;
};

}  // namespace nm::server
