// The variants of functions whose name ends in _ptsz or _ptds: stream 0 means the calling thread's own stream.
#include "softgpu/context.h"

namespace {

class PerThreadScope {
 public:
  PerThreadScope() { nm::softgpu::zero_is_per_thread() = true; }
  ~PerThreadScope() { nm::softgpu::zero_is_per_thread() = false; }
};

}  // namespace

#define NM_PER_THREAD const PerThreadScope scope
#include <softgpu_twins.inc>
