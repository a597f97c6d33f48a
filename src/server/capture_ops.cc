// Stream capture. What the driver would ask of threads is asked of the client's threads: to the driver all of a session
// is one.
#include "server/graph_copy.h"
#include "server/graphs.h"
#include "server/session.h"
#include "server_args.h"

namespace nm::server {
namespace {

template <typename T>
void append(std::vector<uint8_t>* out, const T& value) {
  auto* bytes = reinterpret_cast<const uint8_t*>(&value);
  out->insert(out->end(), bytes, bytes + sizeof value);
}

// The driver's number of the capture that `stream` takes part in, 0: none that is alive.
uint64_t capture_number(Session& s, CUstream stream, CUgraph* graph) {
  CUstreamCaptureStatus status;
  uint64_t id = 0;
  const CUgraphNode* nodes = nullptr;
  size_t count = 0;
  if (!s.driver().cuStreamGetCaptureInfo_v2) return 0;
  CUresult e = s.driver().cuStreamGetCaptureInfo_v2(stream, &status, &id, graph, &nodes, &count);
  if (e == CUDA_ERROR_LOSSY_QUERY && s.driver().cuStreamGetCaptureInfo_v3) {
    const CUgraphEdgeData* edges = nullptr;
    e = s.driver().cuStreamGetCaptureInfo_v3(stream, &status, &id, graph, &nodes, &edges, &count);
  }
  return e == CUDA_SUCCESS && status != CU_STREAM_CAPTURE_STATUS_NONE ? id : 0;
}

// A graph of the client's own outlives a failed capture, and so do its handles and slots.
bool is_own(Session& s, uint64_t id, CUgraph graph) {
  return s.tables().graph.knows(graph) && s.graphs().capture(id).graph != graph;
}

CUresult capture_copy(Session& s, const args::nm_capture_copy& a) {
  CUgraph graph = nullptr;
  uint64_t id = capture_number(s, a.stream, &graph);
  if (!id) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  GraphCopy copy;
  if (CUresult e = copy.prepare(s, a.copy, a.src_slot, a.dst_slot)) return e;
  if (CUresult e = copy.submit(s, a.stream)) return e;
  CopyNode node{nullptr, copy.src(), copy.dst()};
  s.graphs().count_slots({node}, true);
  if (!is_own(s, id, graph)) s.graphs().capture(id).copies.push_back(node);
  return CUDA_SUCCESS;
}

}  // namespace

namespace hand {

CUresult nm_capture_mode(Session& s, args::nm_capture_mode& a, outs::nm_capture_mode&) {
  if (a.mode > CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_ERROR_INVALID_VALUE;
  s.set_thread_mode(static_cast<CUstreamCaptureMode>(a.mode));
  return CUDA_SUCCESS;
}

CUresult cuStreamBeginCapture_v2(Session& s, args::cuStreamBeginCapture_v2& a, outs::cuStreamBeginCapture_v2&) {
  CUresult e = s.driver().cuStreamBeginCapture_v2(a.stream, a.mode);
  if (e == CUDA_SUCCESS) s.capture_begins(a.stream, a.mode);
  return e;
}

CUresult cuStreamBeginCaptureToGraph(Session& s, args::cuStreamBeginCaptureToGraph& a, outs::cuStreamBeginCaptureToGraph&) {
  if (!s.driver().cuStreamBeginCaptureToGraph) return CUDA_ERROR_NOT_SUPPORTED;
  CUresult e = s.driver().cuStreamBeginCaptureToGraph(a.stream, a.graph, a.dependencies_null ? nullptr : a.dependencies.data(),
                                                      a.dependency_data_null ? nullptr : a.dependency_data.data(),
                                                      a.num_dependencies, a.mode);
  if (e == CUDA_SUCCESS) s.capture_begins(a.stream, a.mode);
  return e;
}

CUresult cuStreamEndCapture(Session& s, args::cuStreamEndCapture& a, outs::cuStreamEndCapture& o) {
  auto* begun = s.capture_of(a.stream);
  if (begun && begun->mode != CU_STREAM_CAPTURE_MODE_RELAXED && begun->thread != s.record().thread) {
    return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
  }
  CUgraph graph = nullptr;
  uint64_t id = capture_number(s, a.stream, &graph);
  CUresult e = s.driver().cuStreamEndCapture(a.stream, &o.graph);
  if (e == CUDA_SUCCESS) {
    s.graphs().capture_succeeded(id);
  } else {
    CUstreamCaptureStatus status;
    if (begun && s.driver().cuStreamIsCapturing(a.stream, &status) == CUDA_SUCCESS &&
        status != CU_STREAM_CAPTURE_STATUS_NONE) {
      return e;  // it goes on
    }
    s.graphs().capture_failed(id);
  }
  s.capture_ends(a.stream);
  return e;
}

CUresult cuStreamDestroy_v2(Session& s, args::cuStreamDestroy_v2& a, outs::cuStreamDestroy_v2&) {
  CUgraph graph = nullptr;
  uint64_t id = s.any_capture() ? capture_number(s, a.stream, &graph) : 0;
  bool began = s.capture_of(a.stream) != nullptr;
  s.retire_stream(a.stream);
  CUresult e = s.driver().cuStreamDestroy_v2(a.stream);
  if (e == CUDA_SUCCESS && began) {
    s.capture_ends(a.stream);
    s.graphs().capture_failed(id);
  }
  return e;
}

CUresult nm_capture_info(Session& s, args::nm_capture_info& a, outs::nm_capture_info& o) {
  const DriverTable& d = s.driver();
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  uint64_t id = 0;
  CUgraph graph = nullptr;
  const CUgraphNode* nodes = nullptr;
  const CUgraphEdgeData* edges = nullptr;
  size_t count = 0;
  CUresult e;
  if (d.cuStreamGetCaptureInfo_v3) {
    e = d.cuStreamGetCaptureInfo_v3(a.stream, &status, &id, &graph, &nodes, &edges, &count);
  } else if (d.cuStreamGetCaptureInfo_v2) {
    e = d.cuStreamGetCaptureInfo_v2(a.stream, &status, &id, &graph, &nodes, &count);
  } else {
    e = CUDA_ERROR_NOT_SUPPORTED;
  }
  if (e != CUDA_SUCCESS) return e;
  o.status = status;
  o.capture = id;
  if (status != CU_STREAM_CAPTURE_STATUS_ACTIVE) return CUDA_SUCCESS;
  o.graph = graph;
  bool own = is_own(s, id, graph);
  auto& capture = s.graphs().capture(id);
  if (!own) capture.graph = graph;
  for (size_t i = 0; i < count; i++) {
    if (!own) capture.nodes.insert(nodes[i]);
    append(&o.dependencies, s.tables().node.virtual_of(nodes[i]));
    append(&o.edges, edges ? edges[i] : CUgraphEdgeData{});
  }
  return CUDA_SUCCESS;
}

CUresult nm_capture_copy(Session& s, args::nm_capture_copy& a, outs::nm_capture_copy&) {
  CUresult e = capture_copy(s, a);
  // Nobody waits for this answer: the client keeps what lies behind the slots until it hears that they are gone.
  for (uint64_t slot : {a.src_slot, a.dst_slot}) {
    if (e != CUDA_SUCCESS && slot && !s.graphs().slots().knows(slot)) s.push(wire::PushKind::graph_gone, {slot, 1});
  }
  return e;
}

}  // namespace hand
}  // namespace nm::server
