// Whole graphs, their copies of memory, and executable graphs.
#include <set>

#include "server/graph_copy.h"
#include "server/graph_forms.h"
#include "server/graphs.h"
#include "server/session.h"
#include "server_args.h"
#include "wire/copy_3d.h"

namespace nm::server::hand {

CUresult nm_graph_memcpy_node(Session& s, args::nm_graph_memcpy_node& a, outs::nm_graph_memcpy_node& o) {
  const DriverTable& d = s.driver();
  Graphs& graphs = s.graphs();
  NodeTarget target;
  if (CUresult e = find_target(s, a.form, a.target, &target)) return e;
  GraphCopy copy;
  if (CUresult e = copy.prepare(s, a.copy, a.src_slot, a.dst_slot)) return e;
  CopyNode now{a.existing, copy.src(), copy.dst()};
  switch (target.form) {
    case NodeForm::add: {
      CUresult e = d.cuGraphAddMemcpyNode(&o.node, target.graph, a.dependencies.data(), a.dependencies.size(), &copy.params(),
                                          a.ctx);
      if (e == CUDA_SUCCESS) graphs.count_slots({now}, true);
      return e;
    }
    case NodeForm::set: {
      CopyNode before = graphs.copy_of(a.existing);
      CUresult e = d.cuGraphMemcpyNodeSetParams(a.existing, &copy.params());
      if (e != CUDA_SUCCESS) return e;
      graphs.count_slots({now}, true);
      graphs.count_slots({before}, false);
      return e;
    }
    case NodeForm::exec_set: {
      CUresult e = d.cuGraphExecMemcpyNodeSetParams(target.exec, a.existing, &copy.params(), a.ctx);
      if (e != CUDA_SUCCESS) return e;
      graphs.set_copy(target.exec, now);
      graphs.write_slots(target.exec, &o.slots);
      return e;
    }
  }
  return CUDA_ERROR_INVALID_VALUE;
}

CUresult nm_graph_memcpy_params(Session& s, args::nm_graph_memcpy_params& a, outs::nm_graph_memcpy_params& o) {
  CUDA_MEMCPY3D c{};
  if (CUresult e = s.driver().cuGraphMemcpyNodeGetParams(a.node, &c)) return e;
  CUDA_MEMCPY3D_PEER& n = o.copy;
  n = wire::copy_3d_as<CUDA_MEMCPY3D_PEER>(c);
  CopyNode slots = s.graphs().copy_of(a.node);
  if (slots.src) o.src_slot = slots.src->id, n.srcHost = nullptr;
  if (slots.dst) o.dst_slot = slots.dst->id, n.dstHost = nullptr;
  return CUDA_SUCCESS;
}

CUresult cuGraphAddChildGraphNode(Session& s, args::cuGraphAddChildGraphNode& a, outs::cuGraphAddChildGraphNode& o) {
  CUresult e = s.driver().cuGraphAddChildGraphNode(&o.graph_node, a.graph, a.dependencies.data(), a.dependencies.size(),
                                                   a.child_graph);
  if (e == CUDA_SUCCESS) s.graphs().count_slots(s.graphs().copies_of(a.child_graph), true);
  return e;
}

CUresult cuGraphClone(Session& s, args::cuGraphClone& a, outs::cuGraphClone& o) {
  CUresult e = s.driver().cuGraphClone(&o.graph_clone, a.original_graph);
  if (e == CUDA_SUCCESS) s.graphs().count_slots(s.graphs().copies_of(o.graph_clone), true);
  return e;
}

CUresult cuGraphDestroy(Session& s, args::cuGraphDestroy& a, outs::cuGraphDestroy&) {
  Graphs::Doomed doomed = a.graph ? s.graphs().doomed_with(a.graph) : Graphs::Doomed{};
  CUresult e = s.driver().cuGraphDestroy(a.graph);
  if (e == CUDA_SUCCESS) s.graphs().forget(doomed);
  return e;
}

CUresult cuGraphDestroyNode(Session& s, args::cuGraphDestroyNode& a, outs::cuGraphDestroyNode&) {
  Graphs::Doomed doomed = a.node ? s.graphs().doomed_with(a.node) : Graphs::Doomed{};
  CUresult e = s.driver().cuGraphDestroyNode(a.node);
  if (e == CUDA_SUCCESS) s.graphs().forget(doomed);
  return e;
}

CUresult nm_graph_instantiate(Session& s, args::nm_graph_instantiate& a, outs::nm_graph_instantiate& o) {
  const DriverTable& d = s.driver();
  if (!s.tables().graphexec.free_slot(a.exec_handle)) return CUDA_ERROR_INVALID_VALUE;
  CUgraphExec exec = nullptr;
  if (d.cuGraphInstantiateWithParams) {
    CUDA_GRAPH_INSTANTIATE_PARAMS p{};
    p.flags = a.flags;
    p.hUploadStream = a.upload_stream;
    o.status = d.cuGraphInstantiateWithParams(&exec, a.graph, &p);
    o.instantiate_result = p.result_out;
    o.error_node = p.hErrNode_out;
  } else if (d.cuGraphInstantiateWithFlags) {
    o.status = d.cuGraphInstantiateWithFlags(&exec, a.graph, a.flags & ~uint64_t{CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD});
    o.instantiate_result = o.status == CUDA_SUCCESS ? CUDA_GRAPH_INSTANTIATE_SUCCESS : CUDA_GRAPH_INSTANTIATE_ERROR;
  } else {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  if (o.status != CUDA_SUCCESS) return CUDA_SUCCESS;
  s.tables().graphexec.bind(a.exec_handle, exec);
  std::vector<CopyNode> copies;
  std::vector<std::pair<CUdeviceptr, size_t>> allocated;
  std::set<CUdeviceptr> freed;
  bool slots = !s.graphs().slots().empty();
  s.graphs().walk(a.graph, [&](CUgraphNode node, CUgraphNodeType type) {
    CUDA_MEM_ALLOC_NODE_PARAMS p{};
    CUdeviceptr address = 0;
    if (type == CU_GRAPH_NODE_TYPE_MEMCPY && slots) {
      copies.push_back(s.graphs().copy_of(node));
    } else if (type == CU_GRAPH_NODE_TYPE_MEM_ALLOC && d.cuGraphMemAllocNodeGetParams(node, &p) == CUDA_SUCCESS) {
      allocated.push_back({p.dptr, p.bytesize});
    } else if (type == CU_GRAPH_NODE_TYPE_MEM_FREE && d.cuGraphMemFreeNodeGetParams(node, &address) == CUDA_SUCCESS) {
      freed.insert(address);
    }
  });
  wire::Writer allocations(o.allocations);
  for (auto [address, size] : allocated) {
    allocations.u64(address);
    allocations.u64(size);
    allocations.u64(freed.count(address));
  }
  s.graphs().set_copies(exec, std::move(copies));
  s.graphs().write_slots(exec, &o.slots);
  return CUDA_SUCCESS;
}

CUresult nm_graph_update(Session& s, args::nm_graph_update& a, outs::nm_graph_update& o) {
  const DriverTable& d = s.driver();
  if (!d.cuGraphExecUpdate_v2) return CUDA_ERROR_NOT_SUPPORTED;
  CUgraphExecUpdateResultInfo info{};
  o.status = d.cuGraphExecUpdate_v2(a.graph_exec, a.graph, &info);
  o.update_result = info.result;
  o.error_node = info.errorNode;
  o.error_from_node = info.errorFromNode;
  if (o.status == CUDA_SUCCESS) s.graphs().set_copies(a.graph_exec, s.graphs().copies_of(a.graph));
  s.graphs().write_slots(a.graph_exec, &o.slots);
  return CUDA_SUCCESS;
}

CUresult nm_graph_exec_child(Session& s, args::nm_graph_exec_child& a, outs::nm_graph_exec_child& o) {
  const DriverTable& d = s.driver();
  if (!d.cuGraphExecChildGraphNodeSetParams) return CUDA_ERROR_NOT_SUPPORTED;
  if (CUresult e = d.cuGraphExecChildGraphNodeSetParams(a.graph_exec, a.node, a.child_graph)) return e;
  // Node by node: the driver accepts only a child of the same shape.
  CUgraph embedded;
  if (!s.graphs().slots().empty() && d.cuGraphChildGraphNodeGetGraph(a.node, &embedded) == CUDA_SUCCESS) {
    auto before = s.graphs().copies_of(embedded), now = s.graphs().copies_of(a.child_graph);
    for (size_t i = 0; i < now.size() && i < before.size(); i++) {
      now[i].node = before[i].node;
      s.graphs().set_copy(a.graph_exec, now[i]);
    }
  }
  s.graphs().write_slots(a.graph_exec, &o.slots);
  return CUDA_SUCCESS;
}

CUresult nm_graph_feed(Session& s, args::nm_graph_feed& a, outs::nm_graph_feed&) {
  return s.graphs().feed(a.graph_exec, a.slot, a.version, a.size);
}

CUresult cuGraphLaunch(Session& s, args::cuGraphLaunch& a, outs::cuGraphLaunch&) {
  return s.graphs().launch(a.graph_exec, a.stream);
}

CUresult cuGraphExecDestroy(Session& s, args::cuGraphExecDestroy& a, outs::cuGraphExecDestroy&) {
  CUresult e = s.driver().cuGraphExecDestroy(a.graph_exec);
  if (e == CUDA_SUCCESS) s.graphs().forget(a.graph_exec);
  return e;
}

}  // namespace nm::server::hand
