// What the functions for one kind of node share. A node's parameters can be set in three ways that differ only in what
// they are set on (api/session.toml).
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda_abi.h"

namespace nm::client {

struct NodeWay {
  uint32_t form;        // 0 add, 1 set, 2 set in an executable graph
  uint64_t target = 0;  // add: the graph; executable: that
  CUgraphNode existing = nullptr;
  const CUgraphNode* dependencies = nullptr;
  size_t count = 0;
};

// Each checks its arguments: INVALID_VALUE where a handle is not what it should be.
CUresult add_node(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count, NodeWay* way);
CUresult set_node(CUgraphNode node, NodeWay* way);
CUresult set_exec_node(CUgraphExec exec, CUgraphNode node, NodeWay* way);

}  // namespace nm::client
