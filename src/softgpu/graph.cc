#include "softgpu/graph.h"

#include <algorithm>
#include <set>

#include "softgpu/graph_work.h"

namespace nm::softgpu {

Graph::~Graph() = default;

NodePtr Graph::add(WorkPtr work, const std::vector<CaptureEdge>& before) {
  auto node = std::make_shared<Node>(this, driver.next_id(), std::move(work));
  for (const auto& edge : before) require(edge.node && edge.node->graph == this);
  nodes.push_back(node);
  driver.handles.add(node);
  try {
    for (const auto& edge : before) connect(*edge.node, *node, edge.data);
  } catch (const Failure&) {
    remove(*node);
    throw;
  }
  return node;
}

void Graph::connect(Node& from, Node& to, const CUgraphEdgeData& data) {
  require(from.graph == this && to.graph == this && &from != &to);
  for (const auto& edge : to.before) require(edge.node != &from);
  to.before.push_back({&from, data});
  from.after.push_back({&to, data});
}

void Graph::disconnect(Node& from, Node& to, const CUgraphEdgeData* data) {
  const auto it = std::find_if(to.before.begin(), to.before.end(), [&](const auto& e) { return e.node == &from; });
  require(from.graph == this && to.graph == this && it != to.before.end());
  if (data) require(data->from_port == it->data.from_port && data->type == it->data.type);
  to.before.erase(it);
  std::erase_if(from.after, [&](const auto& e) { return e.node == &to; });
}

void Graph::remove(Node& node) {
  if (const auto* child = dynamic_cast<const ChildGraphWork*>(node.work.get())) {
    driver.handles.remove(child->graph.get());
    child->graph->forget_handles();
  }
  for (const auto& edge : node.before) std::erase_if(edge.node->after, [&](const auto& e) { return e.node == &node; });
  for (const auto& edge : node.after) std::erase_if(edge.node->before, [&](const auto& e) { return e.node == &node; });
  node.before.clear();
  node.after.clear();
  node.graph = nullptr;
  driver.handles.remove(&node);
  std::erase_if(nodes, [&](const auto& other) { return other.get() == &node; });
}

void Graph::forget_handles() {
  for (const auto& node : nodes) {
    driver.handles.remove(node.get());
    node->graph = nullptr;
    if (const auto* child = dynamic_cast<const ChildGraphWork*>(node->work.get())) {
      driver.handles.remove(child->graph.get());
      child->graph->forget_handles();
    }
  }
}

GraphPtr Graph::clone(bool with_handles) const {
  auto copy = std::make_shared<Graph>(driver);
  copy->origin = id;
  std::map<const Node*, Node*> twin;
  for (const auto& node : nodes) {
    WorkPtr work = node->work;
    if (const auto* child = dynamic_cast<const ChildGraphWork*>(work.get())) {
      auto inner = child->graph->clone(with_handles);
      work = with_handles ? ChildGraphWork::of(std::move(inner)) : std::make_shared<ChildGraphWork>(std::move(inner));
    }
    auto made = std::make_shared<Node>(copy.get(), driver.next_id(), std::move(work));
    made->origin = node->id;
    twin[node.get()] = made.get();
    copy->nodes.push_back(std::move(made));
  }
  for (const auto& node : nodes) {
    for (const auto& edge : node->before) twin[node.get()]->before.push_back({twin[edge.node], edge.data});
    for (const auto& edge : node->after) twin[node.get()]->after.push_back({twin[edge.node], edge.data});
  }
  if (with_handles) {
    for (const auto& node : copy->nodes) driver.handles.add(node);
  }
  copy->user_objects = user_objects;
  return copy;
}

bool Graph::has_memory_nodes() const {
  for (const auto& node : nodes) {
    const auto type = node->work->type();
    if (type == CU_GRAPH_NODE_TYPE_MEM_ALLOC || type == CU_GRAPH_NODE_TYPE_MEM_FREE) return true;
  }
  return false;
}

NodePtr Graph::find_origin(uint64_t wanted) const {
  for (const auto& node : nodes) {
    if (node->origin == wanted || node->id == wanted) return node;
    if (const auto* child = dynamic_cast<const ChildGraphWork*>(node->work.get())) {
      if (auto inner = child->graph->find_origin(wanted)) return inner;
    }
  }
  return nullptr;
}

std::vector<NodePtr> Graph::sorted() const {
  std::map<const Node*, size_t> place, open;
  std::set<size_t> ready;
  for (size_t i = 0; i < nodes.size(); ++i) {
    place[nodes[i].get()] = i;
    open[nodes[i].get()] = nodes[i]->before.size();
    if (nodes[i]->before.empty()) ready.insert(i);
  }
  // Creation order wherever the edges leave a choice, so that a run is the same every time.
  std::vector<NodePtr> order;
  while (!ready.empty()) {
    const NodePtr& node = nodes[*ready.begin()];
    ready.erase(ready.begin());
    order.push_back(node);
    for (const auto& edge : node->after) {
      if (--open[edge.node] == 0) ready.insert(place[edge.node]);
    }
  }
  if (order.size() != nodes.size()) order.clear();
  return order;
}

}  // namespace nm::softgpu
