#include "softgpu/host_function.h"

#include "softgpu/capture.h"

using namespace nm::softgpu;

namespace {

// Unlike a host function it learns the stream's status, and runs even after an error.
class CallbackWork final : public Work {
 public:
  CallbackWork(CUstream stream, CUstreamCallback callback, void* data)
      : stream_(stream), callback_(callback), data_(data) {}
  ~CallbackWork() override {
    if (!called_) call(CUDA_ERROR_LAUNCH_FAILED);  // skipped: the context has an error or ends
  }
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_HOST; }
  CUresult run(Context& context) const override {
    call(context.error());
    return CUDA_SUCCESS;
  }

 private:
  void call(CUresult status) const {
    called_ = true;
    in_host_function() = true;
    callback_(stream_, status, data_);
    in_host_function() = false;
  }
  CUstream stream_;
  CUstreamCallback callback_;
  void* data_;
  mutable bool called_ = false;
};

}  // namespace

extern "C" {

CUresult cuLaunchHostFunc(CUstream stream, CUhostFn fn, void* user_data) {
  return in_context([&](ContextCall& c) {
    const auto s = c.stream(stream);
    c.enqueue(*s, std::make_shared<HostWork>(CUDA_HOST_NODE_PARAMS{fn, user_data}));
  });
}

CUresult cuStreamAddCallback(CUstream stream, CUstreamCallback callback, void* user_data, unsigned flags) {
  return in_context([&](ContextCall& c) {
    require(callback != nullptr && flags == 0);
    const auto s = c.stream(stream);
    if (s->capture) fail_capture(*s->capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    c.enqueue(*s, std::make_shared<CallbackWork>(stream, callback, user_data));
  });
}

}  // extern "C"
