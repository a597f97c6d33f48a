// Conditional nodes against drivers that know them, do not know them, or answer nonsense.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include "server/graphs.h"
#include "server/session.h"
#include "server_args.h"

namespace nm::server {
namespace {

int g_added, g_destroyed;
bool g_gives_bodies;
uint64_t g_next_body;

template <typename T>
T made_up(uint64_t value) {
  return reinterpret_cast<T>(value);
}

CUresult add_node(CUgraphNode* node, CUgraph, const CUgraphNode*, const CUgraphEdgeData*, size_t, CUgraphNodeParams* p) {
  static CUgraph bodies[8192];
  g_added++;
  *node = made_up<CUgraphNode>(0x1000);
  if (!g_gives_bodies) return CUDA_SUCCESS;
  for (unsigned i = 0; i < p->conditional.size; i++) bodies[i] = made_up<CUgraph>(g_next_body++);
  p->conditional.phGraph_out = bodies;
  return CUDA_SUCCESS;
}

CUresult destroy_node(CUgraphNode) {
  g_destroyed++;
  return CUDA_SUCCESS;
}

class GraphConditional : public ::testing::Test {
 protected:
  void SetUp() override {
    g_added = g_destroyed = 0;
    g_gives_bodies = true;
    g_next_body = 0x2000;
    int ends[2];
    ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    client_ = Fd(ends[0]);
    driver_.cuGraphAddNode_v2 = add_node;
    driver_.cuGraphDestroyNode = destroy_node;
    // A session takes what its process prints, and this process prints test results.
    int output = dup(STDOUT_FILENO);
    session_ = std::make_unique<Session>(driver_, Connection(wire::socket_stream(Fd(ends[1]), true)), host_functions_,
                                         lanes_);
    dup2(output, STDOUT_FILENO);
    close(output);
  }
  CUresult add(unsigned size, outs::nm_graph_conditional_node* out) {
    args::nm_graph_conditional_node a{};
    a.graph = made_up<CUgraph>(0x10);
    a.size = size;
    return hand::nm_graph_conditional_node(*session_, a, *out);
  }

  DriverTable driver_{};
  Fd client_;
  HostFunctions host_functions_;
  wire::Lanes lanes_;
  std::unique_ptr<Session> session_;
};

TEST_F(GraphConditional, BodiesGetHandlesOfTheirOwn) {
  outs::nm_graph_conditional_node out;
  ASSERT_EQ(CUDA_SUCCESS, add(2, &out));
  ASSERT_EQ(16u, out.bodies.size());
  uint64_t handles[2];
  memcpy(handles, out.bodies.data(), sizeof handles);
  EXPECT_NE(handles[0], handles[1]);
  CUgraph body = nullptr;
  ASSERT_TRUE(session_->tables().graph.find(handles[1], &body));
  EXPECT_EQ(made_up<CUgraph>(0x2001), body);
}

TEST_F(GraphConditional, AnImpossibleNumberOfBodiesNeverReachesTheDriver) {
  outs::nm_graph_conditional_node out;
  for (unsigned size : {0u, 4097u, 0xffff'ffffu}) EXPECT_EQ(CUDA_ERROR_INVALID_VALUE, add(size, &out)) << size;
  EXPECT_EQ(0, g_added);
  EXPECT_EQ(CUDA_SUCCESS, add(4096, &out));
}

TEST_F(GraphConditional, ANodeWithoutBodiesIsTakenBack) {
  g_gives_bodies = false;
  outs::nm_graph_conditional_node out;
  EXPECT_EQ(CUDA_ERROR_NOT_SUPPORTED, add(1, &out));
  EXPECT_EQ(1, g_destroyed);
  EXPECT_TRUE(out.bodies.empty());
}

TEST_F(GraphConditional, ADriverWithoutTheCallIsSaidToLackIt) {
  driver_.cuGraphAddNode_v2 = nullptr;
  outs::nm_graph_conditional_node out;
  EXPECT_EQ(CUDA_ERROR_NOT_SUPPORTED, add(1, &out));
}

}  // namespace
}  // namespace nm::server
