// The three things that can be done with a node's parameters, as they travel in `form` and `target`.
#pragma once

#include <cstdint>

#include "server/session.h"

namespace nm::server {

enum class NodeForm : uint32_t { add = 0, set = 1, exec_set = 2 };

struct NodeTarget {
  NodeForm form = NodeForm::set;
  CUgraph graph = nullptr;     // add
  CUgraphExec exec = nullptr;  // exec_set
};

inline CUresult find_target(Session& s, uint32_t form, uint64_t handle, NodeTarget* out) {
  if (form > static_cast<uint32_t>(NodeForm::exec_set)) return CUDA_ERROR_INVALID_VALUE;
  out->form = static_cast<NodeForm>(form);
  bool known = out->form == NodeForm::add        ? s.tables().graph.find(handle, &out->graph)
               : out->form == NodeForm::exec_set ? s.tables().graphexec.find(handle, &out->exec)
                                                 : true;
  return known ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

}  // namespace nm::server
