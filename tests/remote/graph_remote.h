// What the tests of graphs through the client share: a kernel, a stream, memory, and graphs of a few nodes.
#pragma once

#include <functional>
#include <vector>

#include "../driver/driver_test.h"

// add(p, n, value): p[i] += value for i < n, each a u32.
inline constexpr char kKernels[] = R"(
.version 7.5
.target sm_70
.address_size 64
.visible .entry add(.param .u64 p, .param .u32 n, .param .u32 value)
{
  .reg .pred %q;
  .reg .b32 %r<8>;
  .reg .b64 %d<4>;
  ld.param.u64 %d1, [p];
  ld.param.u32 %r1, [n];
  ld.param.u32 %r2, [value];
  mov.u32 %r3, %tid.x;
  mov.u32 %r4, %ctaid.x;
  mov.u32 %r5, %ntid.x;
  mad.lo.s32 %r3, %r4, %r5, %r3;
  setp.ge.u32 %q, %r3, %r1;
  @%q bra done;
  cvta.to.global.u64 %d1, %d1;
  mul.wide.u32 %d2, %r3, 4;
  add.s64 %d1, %d1, %d2;
  ld.global.u32 %r6, [%d1];
  add.s32 %r6, %r6, %r2;
  st.global.u32 [%d1], %r6;
done:
  ret;
}
)";

inline constexpr unsigned kCount = 3000;
inline constexpr size_t kBytes = kCount * 4;

// A host function with a C++ body.
inline void call(void* f) { (*static_cast<std::function<void()>*>(f))(); }

class GraphRemote : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    OK(cuModuleLoadData(&module_, kKernels));
    OK(cuModuleGetFunction(&add_, module_, "add"));
    OK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
    OK(cuMemAlloc_v2(&memory_, kBytes));
  }

  static std::vector<uint32_t> filled(uint32_t first) {
    std::vector<uint32_t> v(kCount);
    std::iota(v.begin(), v.end(), first);
    return v;
  }
  // In place: graphs keep the address.
  static void fill(std::vector<uint32_t>& v, uint32_t first) { std::iota(v.begin(), v.end(), first); }
  static CUDA_MEMCPY3D linear(CUdeviceptr device, void* host, size_t size, bool to_device) {
    CUDA_MEMCPY3D c{};
    c.srcMemoryType = to_device ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
    c.dstMemoryType = to_device ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
    c.srcHost = to_device ? host : nullptr;
    c.dstHost = to_device ? nullptr : host;
    c.srcDevice = to_device ? 0 : device;
    c.dstDevice = to_device ? device : 0;
    c.srcPitch = c.dstPitch = c.WidthInBytes = size;
    c.Height = c.Depth = 1;
    return c;
  }
  CUgraphNode copy_node(CUgraph graph, std::vector<CUgraphNode> after, void* host, bool to_device) {
    CUDA_MEMCPY3D c = linear(memory_, host, kBytes, to_device);
    CUgraphNode node = nullptr;
    EXPECT_EQ(CUDA_SUCCESS, cuGraphAddMemcpyNode(&node, graph, after.data(), after.size(), &c, context_));
    return node;
  }
  CUgraphNode host_node(CUgraph graph, std::vector<CUgraphNode> after, std::function<void()>* f) {
    CUDA_HOST_NODE_PARAMS p{call, f};
    CUgraphNode node = nullptr;
    EXPECT_EQ(CUDA_SUCCESS, cuGraphAddHostNode(&node, graph, after.data(), after.size(), &p));
    return node;
  }
  CUgraphNode add_node(CUgraph graph, std::vector<CUgraphNode> after, uint32_t value) {
    unsigned n = kCount;
    void* params[] = {&memory_, &n, &value};
    CUDA_KERNEL_NODE_PARAMS p{};
    p.func = add_;
    p.gridDimX = (kCount + 127) / 128, p.gridDimY = p.gridDimZ = 1;
    p.blockDimX = 128, p.blockDimY = p.blockDimZ = 1;
    p.kernelParams = params;
    CUgraphNode node = nullptr;
    EXPECT_EQ(CUDA_SUCCESS, cuGraphAddKernelNode_v2(&node, graph, after.data(), after.size(), &p));
    return node;
  }
  void launch_add(uint32_t value, CUstream stream) {
    unsigned n = kCount;
    void* params[] = {&memory_, &n, &value};
    OK(cuLaunchKernel(add_, (kCount + 127) / 128, 1, 1, 128, 1, 1, 0, stream, params, nullptr));
  }
  CUgraphExec instantiate(CUgraph graph) {
    CUgraphExec exec = nullptr;
    EXPECT_EQ(CUDA_SUCCESS, cuGraphInstantiateWithFlags(&exec, graph, 0));
    return exec;
  }
  // in -> device, += value, device -> out
  CUgraphExec pipeline(void* in, void* out, uint32_t value) {
    CUgraph graph = nullptr;
    EXPECT_EQ(CUDA_SUCCESS, cuGraphCreate(&graph, 0));
    CUgraphNode a = copy_node(graph, {}, in, true), b = add_node(graph, {a}, value);
    copy_node(graph, {b}, out, false);
    CUgraphExec exec = instantiate(graph);
    EXPECT_EQ(CUDA_SUCCESS, cuGraphDestroy(graph));
    return exec;
  }
  void run(CUgraphExec exec) {
    OK(cuGraphLaunch(exec, stream_));
    OK(cuStreamSynchronize(stream_));
  }

  CUmodule module_ = nullptr;
  CUfunction add_ = nullptr;
  CUstream stream_ = nullptr;
  CUdeviceptr memory_ = 0;
};
