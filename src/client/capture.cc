// Stream capture. As long as nothing is captured in this process, every question about it is answered here.
#include <string.h>

#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "client/call.h"
#include "client/client.h"
#include "client/handles.h"
#include "client/stream.h"
#include "remote.h"

namespace nm::client {
namespace {

std::mutex g_mutex;
// Streams in which a capture began and has not ended.
std::set<uint64_t>& origins() {
  static auto* all = new std::set<uint64_t>;
  return *all;
}

// What cuStreamGetCaptureInfo points to: valid until the next call for the stream.
struct Dependencies {
  std::vector<CUgraphNode> nodes;
  std::vector<CUgraphEdgeData> edges;
};
std::map<uint64_t, Dependencies>& dependencies() {
  static auto* all = new std::map<uint64_t, Dependencies>;
  return *all;
}

thread_local CUstreamCaptureMode t_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;

void begun(uint64_t stream) {
  std::lock_guard lock(g_mutex);
  if (origins().insert(stream).second) capture_begins();
}

void ended(uint64_t stream) {
  std::lock_guard lock(g_mutex);
  if (!origins().erase(stream)) return;
  capture_ends();
  dependencies().erase(stream);
}

CUresult begin(Call& call, uint64_t stream) {
  // Not surface(): an earlier error must not hide that the capture has begun.
  CUresult result = call.wait();
  if (result == CUDA_SUCCESS) begun(stream);
  return result;
}

// The status, and if the stream is being captured the rest.
struct Info {
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  uint64_t id = 0;
  CUgraph graph = nullptr;
  const CUgraphNode* nodes = nullptr;
  const CUgraphEdgeData* edges = nullptr;
  size_t count = 0;
  bool plain = true;  // all edges are ordinary ones
};

CUresult ask(CUstream stream, Info* out) {
  if (CUresult e = enter()) return e;
  uint64_t handle;
  if (CUresult e = resolve_stream(stream, &handle)) return e;
  if (active_captures() == 0) {
    count_local();
    return CUDA_SUCCESS;
  }
  unsigned status;
  unsigned long long id;
  std::vector<uint8_t> nodes, edges;
  if (CUresult e = remote::nm_capture_info(stream, &status, &id, &out->graph, &nodes, &edges)) return e;
  out->id = id;
  out->status = static_cast<CUstreamCaptureStatus>(status);
  if (nodes.size() % sizeof(CUgraphNode) || edges.size() != nodes.size()) return CUDA_ERROR_UNKNOWN;
  std::lock_guard lock(g_mutex);
  Dependencies& d = dependencies()[handle];
  d.nodes.resize(nodes.size() / sizeof(CUgraphNode));
  d.edges.resize(d.nodes.size());
  for (size_t i = 0; i < d.nodes.size(); i++) {
    uint64_t node;
    memcpy(&node, nodes.data() + i * sizeof node, sizeof node);
    d.nodes[i] = from_handle<CUgraphNode>(node);
    memcpy(&d.edges[i], edges.data() + i * sizeof d.edges[i], sizeof d.edges[i]);
    if (d.edges[i].from_port || d.edges[i].to_port || d.edges[i].type) out->plain = false;
  }
  out->nodes = d.nodes.data();
  out->edges = d.edges.data();
  out->count = d.nodes.size();
  return CUDA_SUCCESS;
}

}  // namespace

void stream_destroyed(uint64_t handle) { ended(handle); }

}  // namespace nm::client

using namespace nm;
using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
  if (CUresult e = enter()) return e;
  if (!mode || *mode > CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_ERROR_INVALID_VALUE;
  if (*mode != t_mode) {
    // In its place among this thread's calls, so that it holds for those that follow.
    if (CUresult e = remote::nm_capture_mode(*mode)) return e;
  } else {
    count_local();
  }
  std::swap(*mode, t_mode);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
  if (CUresult e = enter()) return e;
  uint64_t handle;
  if (CUresult e = resolve_stream(stream, &handle)) return e;
  Call call(op::cuStreamBeginCapture_v2);
  call.args().u64(handle);
  call.args().u64(mode);
  return begin(call, handle);
}

NM_EXPORT CUresult cuStreamBeginCapture(CUstream stream) {
  return cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
}

NM_EXPORT CUresult cuStreamBeginCaptureToGraph(CUstream stream, CUgraph graph, const CUgraphNode* nodes,
                                               const CUgraphEdgeData* edges, size_t count, CUstreamCaptureMode mode) {
  if (CUresult e = enter()) return e;
  uint64_t handle;
  if (CUresult e = resolve_stream(stream, &handle)) return e;
  if (!graph || (count && !nodes)) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = check_handle(Kind::graph, as_handle(graph), true)) return e;
  Call call(op::cuStreamBeginCaptureToGraph);
  wire::Writer& w = call.args();
  w.u64(handle);
  w.u64(as_handle(graph));
  if (nodes) w.bytes(nodes, count * sizeof *nodes);
  else w.null();
  if (edges) w.bytes(edges, count * sizeof *edges);
  else w.null();
  w.u64(count);
  w.u64(mode);
  return begin(call, handle);
}

NM_EXPORT CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
  if (CUresult e = enter()) return e;
  if (!graph) return CUDA_ERROR_INVALID_VALUE;
  uint64_t handle;
  if (CUresult e = resolve_stream(stream, &handle)) return e;
  *graph = nullptr;
  CUresult result = remote::cuStreamEndCapture(stream, graph);
  if (result != CUDA_SUCCESS) {
    // Some failures end the capture, some leave it as it is.
    CUstreamCaptureStatus status;
    if (remote::cuStreamIsCapturing(stream, &status) != CUDA_SUCCESS || status != CU_STREAM_CAPTURE_STATUS_NONE) return result;
  }
  ended(handle);
  return result;
}

NM_EXPORT CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus* status) {
  if (CUresult e = enter()) return e;
  if (!status) return CUDA_ERROR_INVALID_VALUE;
  uint64_t handle;
  if (CUresult e = resolve_stream(stream, &handle)) return e;
  if (active_captures()) return remote::cuStreamIsCapturing(stream, status);
  *status = CU_STREAM_CAPTURE_STATUS_NONE;
  count_local();
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuStreamGetCaptureInfo(CUstream stream, CUstreamCaptureStatus* status, uint64_t* id) {
  if (!status) return CUDA_ERROR_INVALID_VALUE;
  Info info;
  if (CUresult e = ask(stream, &info)) return e;
  *status = info.status;
  if (id && info.status == CU_STREAM_CAPTURE_STATUS_ACTIVE) *id = info.id;
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuStreamGetCaptureInfo_v3(CUstream stream, CUstreamCaptureStatus* status, uint64_t* id,
                                             CUgraph* graph, const CUgraphNode** nodes, const CUgraphEdgeData** edges,
                                             size_t* count) {
  if (!status) return CUDA_ERROR_INVALID_VALUE;
  Info info;
  if (CUresult e = ask(stream, &info)) return e;
  *status = info.status;
  if (info.status != CU_STREAM_CAPTURE_STATUS_ACTIVE) return CUDA_SUCCESS;
  // Who asks for the nodes and not for their edges would lose what is special about these.
  if (nodes && !edges && !info.plain) return CUDA_ERROR_LOSSY_QUERY;
  if (id) *id = info.id;
  if (graph) *graph = info.graph;
  if (nodes) *nodes = info.nodes;
  if (edges) *edges = info.edges;
  if (count) *count = info.count;
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuStreamGetCaptureInfo_v2(CUstream stream, CUstreamCaptureStatus* status, uint64_t* id,
                                             CUgraph* graph, const CUgraphNode** nodes, size_t* count) {
  return cuStreamGetCaptureInfo_v3(stream, status, id, graph, nodes, nullptr, count);
}

NM_EXPORT CUresult cuStreamUpdateCaptureDependencies_v2(CUstream stream, const CUgraphNode* nodes, const CUgraphEdgeData* edges,
                                                        size_t count, unsigned flags) {
  return remote::cuStreamUpdateCaptureDependencies_v2(stream, nodes, edges, count, flags);
}

NM_EXPORT CUresult cuStreamUpdateCaptureDependencies(CUstream stream, CUgraphNode* nodes, size_t count, unsigned flags) {
  return cuStreamUpdateCaptureDependencies_v2(stream, nodes, nullptr, count, flags);
}

}  // extern "C"
