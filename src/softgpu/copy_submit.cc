#include "softgpu/copy_submit.h"

#include <cstring>

#include "softgpu/capture.h"

namespace nm::softgpu {
namespace {

constexpr size_t kStaged = 1 << 20;  // larger pageable sources are waited for instead of copied

// A genuine driver reads what a small copy takes to the device at once if the copy's own stream has nothing to do, and
// forgets that blocking streams wait for the legacy one, and it for them. Who asks for it gets that here, too.
constexpr uint64_t kReadAtOnce = 24 << 10;
bool reads_early(Driver& driver, Stream& stream, const CopyWork& copy) {
  if (!driver.reads_early || !stream.blocking() || stream.pending()) return false;
  if (!copy.contiguous_source() || copy.bytes() > kReadAtOnce || copy.params.srcArray) return false;
  for (const auto& device : driver.devices) {
    if (device->contains(reinterpret_cast<uint64_t>(copy.source()))) return false;
  }
  return true;
}

bool empty(const CUDA_MEMCPY3D& p) { return p.WidthInBytes == 0 || p.Height == 0 || p.Depth == 0; }

// A copy whose source was read when it was asked for.
class StagedCopy final : public Work {
 public:
  StagedCopy(const CopyWork& copy) : target_(copy.target()), bytes_(copy.source(), copy.source() + copy.bytes()) {}
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_MEMCPY; }
  CUresult run(Context&) const override {
    std::memcpy(target_, bytes_.data(), bytes_.size());
    return CUDA_SUCCESS;
  }

 private:
  uint8_t* target_;
  std::vector<uint8_t> bytes_;
};

}  // namespace

void copy_and_wait(ContextCall& c, Stream& stream, const CUDA_MEMCPY3D& params) {
  if (empty(params)) return;
  c.enqueue_and_wait(stream, std::make_shared<CopyWork>(c.driver, params));
}

void enqueue_copy(ContextCall& c, Stream& stream, const CUDA_MEMCPY3D& params, bool source_now) {
  if (empty(params)) return;
  auto copy = std::make_shared<CopyWork>(c.driver, params);
  if (stream.capture) {
    capture_work(stream, std::move(copy));  // a graph reads and writes host memory whenever it runs
    return;
  }
  const bool take_now = copy->pageable_source() || source_now || reads_early(c.driver, stream, *copy);
  if (copy->pageable_target() || (take_now && !(copy->contiguous_source() && copy->bytes() <= kStaged))) {
    c.enqueue_and_wait(stream, std::move(copy));
    return;
  }
  if (take_now) {
    c.enqueue(stream, std::make_shared<StagedCopy>(*copy));
  } else {
    c.enqueue(stream, std::move(copy));
  }
}

void copy_between_contexts(ContextCall& c, CUcontext to, CUcontext from, const CUDA_MEMCPY3D& params) {
  require_contexts(c, to, from);
  std::vector<std::shared_ptr<Fence>> before;
  for (const CUcontext handle : {to, from}) {
    for (auto& end : c.driver.handles.get<Context>(handle)->pending()) before.push_back(std::move(end));
  }
  c.wait(before);
  copy_and_wait(c, *c.stream(nullptr), params);
}

void require_contexts(ContextCall& c, CUcontext first, CUcontext second) {
  for (const CUcontext handle : {first, second}) {
    fail_if_unusable(*c.driver.handles.get<Context>(handle, CUDA_ERROR_INVALID_CONTEXT));
  }
}

}  // namespace nm::softgpu
