// Stream capture as the API has it.
#include <algorithm>

#include "softgpu/capture.h"
#include "softgpu/context.h"
#include "softgpu/graph_nodes.h"

using namespace nm::softgpu;

namespace {

std::vector<CaptureEdge> edges_of(Call& c, const CUgraphNode* nodes, const CUgraphEdgeData* data, size_t count,
                                  const Graph& graph) {
  require(count == 0 || nodes != nullptr);
  std::vector<CaptureEdge> edges;
  for (size_t i = 0; i < count; ++i) {
    const auto node = node_of(c, nodes[i]);
    require(node->graph == &graph);
    edges.push_back({node, data ? data[i] : CUgraphEdgeData{}});
  }
  return edges;
}

void begin(ContextCall& c, CUstream handle, CUstreamCaptureMode mode, GraphPtr graph, bool into_existing,
           std::vector<CaptureEdge> edges) {
  require(mode >= CU_STREAM_CAPTURE_MODE_GLOBAL && mode <= CU_STREAM_CAPTURE_MODE_RELAXED);
  const auto stream = c.stream(handle);
  require(stream != stream->context->legacy(), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  require(!stream->capture, CUDA_ERROR_ILLEGAL_STATE);
  auto capture = std::make_shared<Capture>();
  capture->id = c.driver.next_id();
  capture->mode = mode;
  capture->thread = std::this_thread::get_id();
  capture->graph = std::move(graph);
  capture->into_existing = into_existing;
  capture->origin = stream.get();
  capture->streams.insert(stream.get());
  stream->capture_edges = std::move(edges);
  stream->capture = capture;
  c.driver.add(capture);
}

// True when every stream's last nodes come before the origin's, so that one end is the end of all.
bool joined(const Capture& capture) {
  std::set<const Node*> reached;
  std::vector<const Node*> open;
  for (const auto& edge : capture.origin->capture_edges) open.push_back(edge.node.get());
  while (!open.empty()) {
    const Node* node = open.back();
    open.pop_back();
    if (!reached.insert(node).second) continue;
    for (const auto& edge : node->before) open.push_back(edge.node);
  }
  for (const Stream* stream : capture.streams) {
    for (const auto& edge : stream->capture_edges) {
      if (!reached.count(edge.node.get())) return false;
    }
  }
  return true;
}

void info(ContextCall& c, CUstream handle, CUstreamCaptureStatus* status, uint64_t* id, CUgraph* graph,
          const CUgraphNode** dependencies, const CUgraphEdgeData** data, size_t* count) {
  require(status != nullptr);
  const auto stream = c.stream(handle);
  if (stream == stream->context->legacy()) fail_if_legacy_breaks_capture(*stream);
  const auto& capture = stream->capture;
  *status = !capture           ? CU_STREAM_CAPTURE_STATUS_NONE
            : capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                               : CU_STREAM_CAPTURE_STATUS_ACTIVE;
  if (*status != CU_STREAM_CAPTURE_STATUS_ACTIVE) return;
  if (id) *id = capture->id;
  if (graph) *graph = handle_of<CUgraph>(capture->graph.get());
  // The arrays stay as they are until the next call about this stream.
  stream->reported_nodes.clear();
  stream->reported_data.clear();
  for (const auto& edge : stream->capture_edges) {
    stream->reported_nodes.push_back(handle_of<CUgraphNode>(edge.node.get()));
    stream->reported_data.push_back(edge.data);
  }
  if (dependencies) *dependencies = stream->reported_nodes.data();
  if (data) *data = stream->reported_data.data();
  if (count) *count = stream->reported_nodes.size();
}

}  // namespace

extern "C" {

CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
  return in_context([&](ContextCall& c) {
    auto graph = std::make_shared<Graph>(c.driver);
    begin(c, stream, mode, graph, false, {});
    c.driver.handles.add(std::move(graph));
  });
}
CUresult cuStreamBeginCapture(CUstream stream) {
  return cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
}

CUresult cuStreamBeginCaptureToGraph(CUstream stream, CUgraph graph, const CUgraphNode* dependencies,
                                     const CUgraphEdgeData* dependency_data, size_t num_dependencies,
                                     CUstreamCaptureMode mode) {
  return in_context([&](ContextCall& c) {
    const auto g = graph_of(c, graph);
    begin(c, stream, mode, g, true, edges_of(c, dependencies, dependency_data, num_dependencies, *g));
  });
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
  return in_context([&](ContextCall& c) {
    require(graph != nullptr);
    const auto s = c.stream(stream);
    const auto capture = s->capture;
    require(capture != nullptr, CUDA_ERROR_ILLEGAL_STATE);
    require(capture->origin == s.get(), CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
    require(capture->mode == CU_STREAM_CAPTURE_MODE_RELAXED || capture->thread == std::this_thread::get_id(),
            CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
    const CUresult result = capture->invalid    ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED
                            : !joined(*capture) ? CUDA_ERROR_STREAM_CAPTURE_UNJOINED
                                                : CUDA_SUCCESS;
    capture->finish();
    if (result != CUDA_SUCCESS && !capture->into_existing) {
      capture->graph->forget_handles();
      c.driver.handles.remove(capture->graph.get());
    }
    *graph = result == CUDA_SUCCESS ? handle_of<CUgraph>(capture->graph.get()) : nullptr;
    check(result);
  });
}

CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus* capture_status) {
  return in_context(
      [&](ContextCall& c) { info(c, stream, capture_status, nullptr, nullptr, nullptr, nullptr, nullptr); });
}
CUresult cuStreamGetCaptureInfo(CUstream stream, CUstreamCaptureStatus* capture_status_out, uint64_t* id_out) {
  return in_context(
      [&](ContextCall& c) { info(c, stream, capture_status_out, id_out, nullptr, nullptr, nullptr, nullptr); });
}
CUresult cuStreamGetCaptureInfo_v2(CUstream stream, CUstreamCaptureStatus* capture_status_out, uint64_t* id_out,
                                   CUgraph* graph_out, const CUgraphNode** dependencies_out,
                                   size_t* num_dependencies_out) {
  return in_context([&](ContextCall& c) {
    info(c, stream, capture_status_out, id_out, graph_out, dependencies_out, nullptr, num_dependencies_out);
  });
}
CUresult cuStreamGetCaptureInfo_v3(CUstream stream, CUstreamCaptureStatus* capture_status_out, uint64_t* id_out,
                                   CUgraph* graph_out, const CUgraphNode** dependencies_out,
                                   const CUgraphEdgeData** edge_data_out, size_t* num_dependencies_out) {
  return in_context([&](ContextCall& c) {
    info(c, stream, capture_status_out, id_out, graph_out, dependencies_out, edge_data_out, num_dependencies_out);
  });
}

CUresult cuStreamUpdateCaptureDependencies_v2(CUstream stream, const CUgraphNode* dependencies,
                                              const CUgraphEdgeData* dependency_data, size_t num_dependencies,
                                              unsigned flags) {
  return in_context([&](ContextCall& c) {
    const auto s = c.stream(stream);
    require(s->capture != nullptr, CUDA_ERROR_ILLEGAL_STATE);
    require(!s->capture->invalid, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    require(flags <= CU_STREAM_SET_CAPTURE_DEPENDENCIES);
    auto edges = edges_of(c, dependencies, dependency_data, num_dependencies, *s->capture->graph);
    if (flags == CU_STREAM_SET_CAPTURE_DEPENDENCIES) {
      s->capture_edges = std::move(edges);
      return;
    }
    for (auto& edge : edges) {
      const bool known = std::any_of(s->capture_edges.begin(), s->capture_edges.end(),
                                     [&](const auto& own) { return own.node == edge.node; });
      if (!known) s->capture_edges.push_back(std::move(edge));
    }
  });
}
CUresult cuStreamUpdateCaptureDependencies(CUstream stream, CUgraphNode* dependencies, size_t num_dependencies,
                                           unsigned flags) {
  return cuStreamUpdateCaptureDependencies_v2(stream, dependencies, nullptr, num_dependencies, flags);
}

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
  return call([&](Call&) {
    require(mode != nullptr && *mode >= CU_STREAM_CAPTURE_MODE_GLOBAL && *mode <= CU_STREAM_CAPTURE_MODE_RELAXED);
    std::swap(*mode, thread_capture_mode());
  });
}

}  // extern "C"
