// Graphs: their life, their structure.
#include <algorithm>
#include <cstdio>

#include "softgpu/graph_nodes.h"

using namespace nm::softgpu;

namespace {

// Answers with up to *count handles and fills the rest with nulls; without an array it answers how many there are.
template <class Get>
void list_nodes(CUgraphNode* out, size_t* count, size_t total, Get&& get) {
  require(count != nullptr);
  if (out) {
    for (size_t i = 0; i < *count; ++i) out[i] = i < total ? handle_of<CUgraphNode>(get(i)) : nullptr;
    *count = std::min(*count, total);
  } else {
    *count = total;
  }
}

bool plain(const CUgraphEdgeData& data) { return data.from_port == 0 && data.to_port == 0 && data.type == 0; }

void list_edges(const std::vector<Node::Edge>& edges, CUgraphNode* out, CUgraphEdgeData* data, size_t* count,
                bool lossy) {
  require(count != nullptr && (out != nullptr || data == nullptr));
  for (const auto& edge : edges) require(!lossy || plain(edge.data), CUDA_ERROR_LOSSY_QUERY);
  const size_t room = *count;
  list_nodes(out, count, edges.size(), [&](size_t i) { return edges[i].node; });
  if (data) {
    for (size_t i = 0; i < std::min(room, edges.size()); ++i) data[i] = edges[i].data;
  }
}

void require_edge(const CUgraphEdgeData& data) {
  require(data.type <= CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC && data.to_port == 0);
  for (const uint8_t zero : data.reserved) require(zero == 0);
}

void edges_of(Call& c, CUgraph graph, CUgraphNode* from, CUgraphNode* to, CUgraphEdgeData* data, size_t* num_edges,
              bool lossy) {
  const auto g = graph_of(c, graph);
  require(num_edges != nullptr && (from == nullptr) == (to == nullptr));
  struct Found {
    Node *from, *to;
    CUgraphEdgeData data;
  };
  std::vector<Found> all;
  for (const auto& node : g->nodes) {
    for (const auto& edge : node->before) {
      require(!lossy || plain(edge.data), CUDA_ERROR_LOSSY_QUERY);
      all.push_back({edge.node, node.get(), edge.data});
    }
  }
  if (!from) {
    *num_edges = all.size();
    return;
  }
  for (size_t i = 0; i < *num_edges; ++i) {
    from[i] = i < all.size() ? handle_of<CUgraphNode>(all[i].from) : nullptr;
    to[i] = i < all.size() ? handle_of<CUgraphNode>(all[i].to) : nullptr;
    if (data && i < all.size()) data[i] = all[i].data;
  }
  *num_edges = std::min(*num_edges, all.size());
}

void change_edges(Call& c, CUgraph graph, const CUgraphNode* from, const CUgraphNode* to, const CUgraphEdgeData* data,
                  size_t count, bool add) {
  const auto g = graph_of(c, graph);
  require(count == 0 || (from != nullptr && to != nullptr));
  for (size_t i = 0; i < count; ++i) {
    const auto a = node_of(c, from[i]), b = node_of(c, to[i]);
    if (data) require_edge(data[i]);
    if (add) {
      g->connect(*a, *b, data ? data[i] : CUgraphEdgeData{});
    } else {
      g->disconnect(*a, *b, data ? &data[i] : nullptr);
    }
  }
}

const char* kind_name(CUgraphNodeType type) {
  static constexpr const char* kNames[] = {"kernel",    "memcpy",     "memset",       "host",       "graph",
                                           "empty",     "event wait", "event record", "signal",     "wait",
                                           "mem alloc", "mem free",   "mem op",       "conditional"};
  return type < 14 ? kNames[type] : "?";
}

void print(std::FILE* out, const Graph& graph, unsigned depth) {
  for (const auto& node : graph.nodes) {
    std::string label = kind_name(node->work->type());
    if (const auto* kernel = dynamic_cast<const KernelWork*>(node->work.get())) {
      const auto& s = kernel->shape;
      label += "\\n" + kernel->function->info().name + "\\n(" + std::to_string(s.grid[0]) + "," +
               std::to_string(s.grid[1]) + "," + std::to_string(s.grid[2]) + ") x (" + std::to_string(s.block[0]) +
               "," + std::to_string(s.block[1]) + "," + std::to_string(s.block[2]) + ")";
    }
    std::fprintf(out, "  n%llu [label=\"%s\"];\n", static_cast<unsigned long long>(node->id), label.c_str());
    for (const auto& edge : node->before) {
      std::fprintf(out, "  n%llu -> n%llu;\n", static_cast<unsigned long long>(edge.node->id),
                   static_cast<unsigned long long>(node->id));
    }
    if (const auto* child = dynamic_cast<const ChildGraphWork*>(node->work.get()); child && depth < 16) {
      std::fprintf(out, "  subgraph cluster_%llu {\n", static_cast<unsigned long long>(child->graph->id));
      print(out, *child->graph, depth + 1);
      std::fputs("  }\n", out);
    }
  }
}

}  // namespace

extern "C" {

CUresult cuGraphCreate(CUgraph* graph, unsigned flags) {
  return call([&](Call& c) {
    require(graph != nullptr && flags == 0);
    auto object = std::make_shared<Graph>(c.driver);
    *graph = handle_of<CUgraph>(object.get());
    c.driver.handles.add(std::move(object));
  });
}

CUresult cuGraphDestroy(CUgraph graph) {
  return call([&](Call& c) {
    const auto object = graph_of(c, graph);
    require(!object->owned_by_node);
    object->forget_handles();
    c.driver.handles.remove(object.get());
  });
}

CUresult cuGraphClone(CUgraph* graph_clone, CUgraph original_graph) {
  return call([&](Call& c) {
    require(graph_clone != nullptr);
    const auto original = graph_of(c, original_graph);
    require(!original->has_memory_nodes(), CUDA_ERROR_NOT_SUPPORTED);
    auto copy = original->clone(true);
    *graph_clone = handle_of<CUgraph>(copy.get());
    c.driver.handles.add(std::move(copy));
  });
}

CUresult cuGraphNodeFindInClone(CUgraphNode* node, CUgraphNode original_node, CUgraph cloned_graph) {
  return call([&](Call& c) {
    require(node != nullptr);
    const auto original = node_of(c, original_node);
    for (const auto& candidate : graph_of(c, cloned_graph)->nodes) {
      if (candidate->origin != original->id) continue;
      *node = handle_of<CUgraphNode>(candidate.get());
      return;
    }
    fail(CUDA_ERROR_INVALID_VALUE);
  });
}

CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode* nodes, size_t* num_nodes) {
  return call([&](Call& c) {
    const auto g = graph_of(c, graph);
    list_nodes(nodes, num_nodes, g->nodes.size(), [&](size_t i) { return g->nodes[i].get(); });
  });
}

CUresult cuGraphGetRootNodes(CUgraph graph, CUgraphNode* root_nodes, size_t* num_root_nodes) {
  return call([&](Call& c) {
    std::vector<Node*> roots;
    for (const auto& node : graph_of(c, graph)->nodes) {
      if (node->before.empty()) roots.push_back(node.get());
    }
    list_nodes(root_nodes, num_root_nodes, roots.size(), [&](size_t i) { return roots[i]; });
  });
}

CUresult cuGraphGetEdges(CUgraph graph, CUgraphNode* from, CUgraphNode* to, size_t* num_edges) {
  return call([&](Call& c) { edges_of(c, graph, from, to, nullptr, num_edges, true); });
}
CUresult cuGraphGetEdges_v2(CUgraph graph, CUgraphNode* from, CUgraphNode* to, CUgraphEdgeData* edge_data,
                            size_t* num_edges) {
  return call([&](Call& c) { edges_of(c, graph, from, to, edge_data, num_edges, edge_data == nullptr && from); });
}

CUresult cuGraphNodeGetDependencies(CUgraphNode node, CUgraphNode* dependencies, size_t* num_dependencies) {
  return call([&](Call& c) { list_edges(node_of(c, node)->before, dependencies, nullptr, num_dependencies, true); });
}
CUresult cuGraphNodeGetDependencies_v2(CUgraphNode node, CUgraphNode* dependencies, CUgraphEdgeData* edge_data,
                                       size_t* num_dependencies) {
  return call([&](Call& c) {
    list_edges(node_of(c, node)->before, dependencies, edge_data, num_dependencies, !edge_data && dependencies);
  });
}
CUresult cuGraphNodeGetDependentNodes(CUgraphNode node, CUgraphNode* dependent_nodes, size_t* num_dependent_nodes) {
  return call(
      [&](Call& c) { list_edges(node_of(c, node)->after, dependent_nodes, nullptr, num_dependent_nodes, true); });
}
CUresult cuGraphNodeGetDependentNodes_v2(CUgraphNode node, CUgraphNode* dependent_nodes, CUgraphEdgeData* edge_data,
                                         size_t* num_dependent_nodes) {
  return call([&](Call& c) {
    list_edges(node_of(c, node)->after, dependent_nodes, edge_data, num_dependent_nodes, !edge_data && dependent_nodes);
  });
}

CUresult cuGraphAddDependencies(CUgraph graph, const CUgraphNode* from, const CUgraphNode* to,
                                size_t num_dependencies) {
  return call([&](Call& c) { change_edges(c, graph, from, to, nullptr, num_dependencies, true); });
}
CUresult cuGraphAddDependencies_v2(CUgraph graph, const CUgraphNode* from, const CUgraphNode* to,
                                   const CUgraphEdgeData* edge_data, size_t num_dependencies) {
  return call([&](Call& c) { change_edges(c, graph, from, to, edge_data, num_dependencies, true); });
}
CUresult cuGraphRemoveDependencies(CUgraph graph, const CUgraphNode* from, const CUgraphNode* to,
                                   size_t num_dependencies) {
  return call([&](Call& c) { change_edges(c, graph, from, to, nullptr, num_dependencies, false); });
}
CUresult cuGraphRemoveDependencies_v2(CUgraph graph, const CUgraphNode* from, const CUgraphNode* to,
                                      const CUgraphEdgeData* edge_data, size_t num_dependencies) {
  return call([&](Call& c) { change_edges(c, graph, from, to, edge_data, num_dependencies, false); });
}

CUresult cuGraphNodeGetType(CUgraphNode node, CUgraphNodeType* type) {
  return call([&](Call& c) {
    require(type != nullptr);
    *type = node_of(c, node)->work->type();
  });
}

CUresult cuGraphDestroyNode(CUgraphNode node) {
  return call([&](Call& c) {
    const auto object = node_of(c, node);
    require(object->graph != nullptr);
    object->graph->remove(*object);
  });
}

CUresult cuGraphDebugDotPrint(CUgraph graph, const char* path, unsigned) {
  return call([&](Call& c) {
    const auto g = graph_of(c, graph);
    require(path != nullptr);
    std::FILE* out = std::fopen(path, "w");
    require(out != nullptr, CUDA_ERROR_OPERATING_SYSTEM);
    std::fputs("digraph dot {\n", out);
    print(out, *g, 0);
    std::fputs("}\n", out);
    const bool written = std::fclose(out) == 0;
    require(written, CUDA_ERROR_OPERATING_SYSTEM);
  });
}

CUresult cuGraphConditionalHandleCreate(unsigned long long*, CUgraph graph, CUcontext, unsigned, unsigned) {
  return call([&](Call& c) {
    graph_of(c, graph);
    fail(CUDA_ERROR_NOT_SUPPORTED);
  });
}

}  // extern "C"
