// Host memory that something in a stream writes and something behind it reads.
#include <unistd.h>

#include <cstdlib>

#include "graph_remote.h"

namespace {

// What a stream is about to write to host memory and something behind it in the stream reads comes in that order,
// although the bytes come here in between.
class GraphRemoteOrder : public GraphRemote {
 protected:
  void SetUp() override {
    GraphRemote::SetUp();
    OK(cuMemHostAlloc(&pinned_, kBytes, 0));
    registered_ = std::aligned_alloc(4096, 16384);
    OK(cuMemHostRegister_v2(registered_, 16384, 0));
    pageable_.resize(kCount);
    OK(cuMemAlloc_v2(&other_, kBytes));
  }
  void TearDown() override {
    cuMemHostUnregister(registered_);
    std::free(registered_);
    GraphRemote::TearDown();
  }
  std::vector<uint32_t*> kinds() {
    return {static_cast<uint32_t*>(pinned_), static_cast<uint32_t*>(registered_), pageable_.data()};
  }
  // Holds the stream up, so that what follows is certainly enqueued before any of it happens.
  void hold() { OK(cuLaunchHostFunc(stream_, call, &sleep_)); }

  std::function<void()> sleep_ = [] { usleep(50'000); };
  void* pinned_ = nullptr;
  void* registered_ = nullptr;
  std::vector<uint32_t> pageable_;
  CUdeviceptr other_ = 0;
};

TEST_F(GraphRemoteOrder, ALaunchReadsWhatAnEarlierCopyBrings) {
  for (uint32_t* between : kinds()) {
    std::vector<uint32_t> out(kCount);
    std::fill(between, between + kCount, 0u);
    CUgraphExec exec = pipeline(between, out.data(), 5);
    run(exec);
    EXPECT_EQ(std::vector<uint32_t>(kCount, 5), out);
    OK(cuMemsetD32Async(other_, 40, kCount, stream_));
    hold();
    OK(cuMemcpyDtoHAsync_v2(between, other_, kBytes, stream_));
    OK(cuGraphLaunch(exec, stream_));
    OK(cuStreamSynchronize(stream_));
    EXPECT_EQ(std::vector<uint32_t>(kCount, 45), out);
  }
}

TEST_F(GraphRemoteOrder, ALaunchReadsWhatAnEarlierLaunchWrites) {
  for (uint32_t* between : kinds()) {
    std::vector<uint32_t> in = filled(0), out(kCount);
    CUgraphExec first = pipeline(in.data(), between, 1), second = pipeline(between, out.data(), 10);
    for (uint32_t round = 0; round < 3; round++) {
      fill(in, round * 100);
      hold();
      OK(cuGraphLaunch(first, stream_));
      OK(cuGraphLaunch(second, stream_));
      OK(cuStreamSynchronize(stream_));
      EXPECT_EQ(filled(round * 100 + 11), out) << round;
    }
  }
}

TEST_F(GraphRemoteOrder, AGraphThatUpdatesMemoryInPlaceDoesSoAtEveryLaunch) {
  for (uint32_t* between : kinds()) {
    auto start = filled(1000);
    std::memcpy(between, start.data(), kBytes);
    CUgraphExec exec = pipeline(between, between, 2);
    hold();
    for (int i = 0; i < 20; i++) OK(cuGraphLaunch(exec, stream_));
    OK(cuStreamSynchronize(stream_));
    EXPECT_EQ(0, std::memcmp(between, filled(1040).data(), kBytes));
  }
}

TEST_F(GraphRemoteOrder, ANodeReadsWhatAnotherNodeOfItsGraphWrites) {
  for (uint32_t* between : kinds()) {
    std::vector<uint32_t> in = filled(0), out(kCount);
    CUgraph graph;
    OK(cuGraphCreate(&graph, 0));
    CUgraphNode a = copy_node(graph, {}, in.data(), true), b = add_node(graph, {a}, 1);
    CUgraphNode c = copy_node(graph, {b}, between, false), d = add_node(graph, {c}, 100);
    CUgraphNode e = copy_node(graph, {d}, between, true), f = add_node(graph, {e}, 10);
    copy_node(graph, {f}, out.data(), false);
    CUgraphExec exec = instantiate(graph);
    OK(cuGraphDestroy(graph));
    for (uint32_t round = 0; round < 3; round++) {
      fill(in, round * 1000);
      run(exec);
      EXPECT_EQ(filled(round * 1000 + 11), out) << round;
      EXPECT_EQ(0, std::memcmp(between, filled(round * 1000 + 1).data(), kBytes)) << round;
    }
    OK(cuGraphExecDestroy(exec));
  }
}

TEST_F(GraphRemoteOrder, ALaunchReadsPartOfWhatAnEarlierLaunchWrites) {
  for (uint32_t* between : kinds()) {
    std::vector<uint32_t> in = filled(0), out(kCount / 2);
    CUgraphExec first = pipeline(in.data(), between, 1);
    CUgraph graph;
    CUgraphNode a, b;
    OK(cuGraphCreate(&graph, 0));
    CUDA_MEMCPY3D to = linear(other_, between + kCount / 2, kBytes / 2, true), from = linear(other_, out.data(), kBytes / 2, false);
    OK(cuGraphAddMemcpyNode(&a, graph, nullptr, 0, &to, context_));
    OK(cuGraphAddMemcpyNode(&b, graph, &a, 1, &from, context_));
    CUgraphExec second = instantiate(graph);
    for (uint32_t round = 0; round < 3; round++) {
      fill(in, round * 100);
      hold();
      OK(cuGraphLaunch(first, stream_));
      OK(cuGraphLaunch(second, stream_));
      OK(cuStreamSynchronize(stream_));
      EXPECT_EQ(round * 100 + kCount / 2 + 1, out[0]) << round;
      EXPECT_EQ(round * 100 + kCount / 2 * 2, out.back()) << round;
    }
  }
}

TEST_F(GraphRemoteOrder, ACopyReadsWhatAnEarlierCopyOrLaunchBrings) {
  for (uint32_t* between : kinds()) {
    std::fill(between, between + kCount, 0u);
    OK(cuMemsetD32Async(other_, 40, kCount, stream_));
    hold();
    OK(cuMemcpyDtoHAsync_v2(between, other_, kBytes, stream_));
    OK(cuMemcpyHtoDAsync_v2(memory_, between, kBytes, stream_));
    OK(cuStreamSynchronize(stream_));
    EXPECT_EQ(std::vector<uint32_t>(kCount, 40), read<uint32_t>(memory_, kCount));
    std::vector<uint32_t> in = filled(3);
    CUgraphExec exec = pipeline(in.data(), between, 1);
    hold();
    OK(cuGraphLaunch(exec, stream_));
    OK(cuMemcpyHtoDAsync_v2(other_, between, kBytes, stream_));
    OK(cuStreamSynchronize(stream_));
    EXPECT_EQ(filled(4), read<uint32_t>(other_, kCount));
  }
}

// Run with a limit on round trips: tests/remote/CMakeLists.txt.
TEST_F(GraphRemote, LaunchesThatReadNothingPendingCostNothing) {
  std::vector<uint32_t> in = filled(0), out(kCount);
  CUgraphExec exec = pipeline(in.data(), out.data(), 1);
  for (uint32_t i = 0; i < 200; i++) {
    in[0] = i;
    OK(cuGraphLaunch(exec, stream_));
  }
  OK(cuStreamSynchronize(stream_));
  EXPECT_EQ(200u, out[0]);
  // Nor where one reads what another writes, if it is the same memory.
  std::vector<uint32_t> next(kCount);
  CUgraphExec in_place = pipeline(out.data(), out.data(), 2), second = pipeline(out.data(), next.data(), 1);
  std::fill(out.begin(), out.end(), 0u);
  for (int i = 0; i < 100; i++) OK(cuGraphLaunch(in_place, stream_));
  OK(cuGraphLaunch(second, stream_));
  OK(cuStreamSynchronize(stream_));
  EXPECT_EQ(200u, out[0]);
  EXPECT_EQ(201u, next[0]);
}

}  // namespace
