#include "server/graphs.h"

#include "server/session.h"

namespace nm::server {

std::vector<GraphSlots::Ref> GraphExec::slots() const {
  std::vector<GraphSlots::Ref> out;
  for (const CopyNode& c : copies) {
    if (c.src) out.push_back(c.src);
    if (c.dst) out.push_back(c.dst);
  }
  return out;
}

Graphs::Graphs(Session& session)
    : s_(session), slots_(std::make_shared<GraphSlots>(session.driver(), [&session](uint64_t id, uint64_t named) {
        session.push(wire::PushKind::graph_gone, {id, named});
      })) {
  session.host_functions().share_slots(slots_);
}

Graphs::~Graphs() { slots_->close(); }

void Graphs::leave(CUcontext context) {
  slots_->leave(context);
  std::vector<uint64_t> ended;
  for (auto& [id, capture] : captures_) {
    if (capture.context == context) ended.push_back(id);
  }
  for (uint64_t id : ended) capture_failed(id);
  for (auto& [driver_exec, exec] : execs_) {
    if (exec->context == context) exec->done = nullptr;
  }
}

void Graphs::walk_node(CUgraphNode node, const std::function<void(CUgraphNode, CUgraphNodeType)>& visit,
                       const std::function<void(CUgraph)>& embedded) const {
  const DriverTable& d = s_.driver();
  CUgraphNodeType type;
  if (d.cuGraphNodeGetType(node, &type) != CUDA_SUCCESS) return;
  visit(node, type);
  if (type == CU_GRAPH_NODE_TYPE_GRAPH) {
    CUgraph child;
    if (d.cuGraphChildGraphNodeGetGraph(node, &child) != CUDA_SUCCESS) return;
    if (embedded) embedded(child);
    walk(child, visit, embedded);
  } else if (type == CU_GRAPH_NODE_TYPE_CONDITIONAL) {
    auto it = bodies_.find(node);
    if (it == bodies_.end()) return;
    for (CUgraph body : it->second) {
      if (embedded) embedded(body);
      walk(body, visit, embedded);
    }
  }
}

void Graphs::walk(CUgraph graph, const std::function<void(CUgraphNode, CUgraphNodeType)>& visit,
                  const std::function<void(CUgraph)>& embedded) const {
  const DriverTable& d = s_.driver();
  size_t count = 0;
  if (d.cuGraphGetNodes(graph, nullptr, &count) != CUDA_SUCCESS || !count) return;
  std::vector<CUgraphNode> nodes(count);
  if (d.cuGraphGetNodes(graph, nodes.data(), &count) != CUDA_SUCCESS) return;
  nodes.resize(count);
  for (CUgraphNode node : nodes) walk_node(node, visit, embedded);
}

CopyNode Graphs::copy_of(CUgraphNode node) const {
  CopyNode out{node, nullptr, nullptr};
  CUDA_MEMCPY3D c{};
  if (slots_->empty() || s_.driver().cuGraphMemcpyNodeGetParams(node, &c) != CUDA_SUCCESS) return out;
  if (c.srcMemoryType == CU_MEMORYTYPE_HOST) out.src = slots_->at(c.srcHost);
  if (c.dstMemoryType == CU_MEMORYTYPE_HOST) out.dst = slots_->at(c.dstHost);
  return out;
}

std::vector<CopyNode> Graphs::copies_of(CUgraph graph) const {
  std::vector<CopyNode> out;
  if (slots_->empty()) return out;
  walk(graph, [&](CUgraphNode node, CUgraphNodeType type) {
    if (type == CU_GRAPH_NODE_TYPE_MEMCPY) out.push_back(copy_of(node));
  });
  return out;
}

void Graphs::count_slots(const std::vector<CopyNode>& copies, bool more) {
  for (const CopyNode& c : copies) {
    for (const GraphSlots::Ref& slot : {c.src, c.dst}) {
      if (more) slots_->add_node(slot);
      else slots_->drop_node(slot);
    }
  }
}

Graphs::Doomed Graphs::doomed_with(CUgraph graph) const {
  Doomed out;
  out.graphs.push_back(graph);
  walk(
      graph,
      [&](CUgraphNode node, CUgraphNodeType type) {
        out.nodes.push_back(node);
        if (type == CU_GRAPH_NODE_TYPE_MEMCPY && !slots_->empty()) out.copies.push_back(copy_of(node));
      },
      [&](CUgraph embedded) { out.graphs.push_back(embedded); });
  return out;
}

Graphs::Doomed Graphs::doomed_with(CUgraphNode doomed) const {
  Doomed out;
  walk_node(
      doomed,
      [&](CUgraphNode node, CUgraphNodeType type) {
        out.nodes.push_back(node);
        if (type == CU_GRAPH_NODE_TYPE_MEMCPY && !slots_->empty()) out.copies.push_back(copy_of(node));
      },
      [&](CUgraph embedded) { out.graphs.push_back(embedded); });
  return out;
}

void Graphs::forget(const Doomed& doomed) {
  for (CUgraphNode node : doomed.nodes) {
    s_.tables().node.forget(node);
    if (!bodies_.empty()) bodies_.erase(node);
  }
  for (CUgraph graph : doomed.graphs) s_.tables().graph.forget(graph);
  count_slots(doomed.copies, false);
}

Graphs::Capture& Graphs::capture(uint64_t id) {
  auto [it, added] = captures_.try_emplace(id);
  if (added) it->second.context = s_.context();
  return it->second;
}

void Graphs::capture_failed(uint64_t id) {
  auto it = captures_.find(id);
  if (it == captures_.end()) return;
  Doomed doomed;
  if (it->second.graph) doomed.graphs.push_back(it->second.graph);
  doomed.nodes.assign(it->second.nodes.begin(), it->second.nodes.end());
  doomed.copies = std::move(it->second.copies);
  captures_.erase(it);
  forget(doomed);
}

}  // namespace nm::server
