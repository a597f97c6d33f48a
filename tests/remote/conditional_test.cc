// Conditional nodes through the client. The software GPU has none; extra/conditional.cc adds them as far as the wire is
// concerned.
#include "graph_remote.h"

namespace {

class Conditional : public GraphRemote {
 protected:
  void SetUp() override {
    GraphRemote::SetUp();
    OK(cuGraphCreate(&graph_, 0));
  }
  CUresult add(unsigned size, CUgraphNodeParams* p, CUgraphNode* node) {
    *p = {};
    p->type = CU_GRAPH_NODE_TYPE_CONDITIONAL;
    p->conditional.handle = condition_;
    p->conditional.type = CU_GRAPH_COND_TYPE_IF;
    p->conditional.size = size;
    p->conditional.ctx = context_;
    return cuGraphAddNode_v2(node, graph_, nullptr, nullptr, 0, p);
  }

  CUgraph graph_ = nullptr;
  unsigned long long condition_ = 0;
};

TEST_F(Conditional, BodiesAreGraphsThatTakeNodes) {
  CUresult e = cuGraphConditionalHandleCreate(&condition_, graph_, context_, 1, 0);
  if (e == CUDA_ERROR_NOT_SUPPORTED) GTEST_SKIP() << "this driver has no conditional nodes";
  ASSERT_EQ(CUDA_SUCCESS, e);
  EXPECT_NE(0u, condition_);
  CUgraphNodeParams p;
  CUgraphNode node, inner;
  OK(add(2, &p, &node));
  ASSERT_NE(nullptr, p.conditional.phGraph_out);
  CUgraph first = p.conditional.phGraph_out[0], second = p.conditional.phGraph_out[1];
  EXPECT_NE(first, second);
  EXPECT_NE(graph_, first);
  OK(cuGraphAddEmptyNode(&inner, first, nullptr, 0));
  add_node(first, {inner}, 3);
  size_t nodes = 0;
  OK(cuGraphGetNodes(first, nullptr, &nodes));
  EXPECT_EQ(2u, nodes);
  OK(cuGraphGetNodes(second, nullptr, &nodes));
  EXPECT_EQ(0u, nodes);
  CUgraphNodeType type;
  OK(cuGraphNodeGetType(node, &type));
  EXPECT_EQ(CU_GRAPH_NODE_TYPE_CONDITIONAL, type);
  // Bodies and what is in them go with the graph.
  OK(cuGraphDestroy(graph_));
  EXPECT_NE(CUDA_SUCCESS, cuGraphGetNodes(first, nullptr, &nodes));
  EXPECT_NE(CUDA_SUCCESS, cuGraphNodeGetType(inner, &type));
}

TEST_F(Conditional, TheNumberOfBodiesHasItsLimits) {
  CUgraphNodeParams p;
  CUgraphNode node;
  for (unsigned size : {0u, 4097u, 0xffff'ffffu}) EXPECT_EQ(CUDA_ERROR_INVALID_VALUE, add(size, &p, &node)) << size;
  OK(cuCtxSynchronize());
}

}  // namespace
