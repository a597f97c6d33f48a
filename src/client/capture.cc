// Stream capture. As long as nothing is captured in this process, every question about it is answered here.
#include "client/capture.h"

#include <string.h>

#include <atomic>
#include <map>
#include <mutex>
#include <vector>

#include "client/call.h"
#include "client/capture_state.h"
#include "client/client.h"
#include "client/context.h"
#include "client/handles.h"
#include "client/stream.h"
#include "remote.h"

namespace nm::client {
namespace {

using Part = CaptureState::Part;

std::atomic<int> g_open{0};
std::mutex g_mutex;
CaptureState& state() {  // the lock is held
  static auto* s = new CaptureState;
  return *s;
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

// What changes the number of open captures.
template <typename F>
void change(F&& f) {
  std::lock_guard lock(g_mutex);
  f(state());
  g_open = state().open();
  if (g_open == 0) dependencies().clear();
}

void begun(uint64_t stream) {
  uint64_t context = stream_context(stream);
  change([&](CaptureState& s) { s.begin(stream, context ? context : current_context()); });
}

void ended(uint64_t stream) {
  change([&](CaptureState& s) { s.end(stream); });
}

Part part_of(uint64_t stream) {
  std::lock_guard lock(g_mutex);
  return state().part(stream);
}

// Only the driver knows whether the legacy stream may be asked about, and what has become of a capture.
bool is_certainly_none(uint64_t stream) {
  constexpr uint64_t kLegacy = 1;
  return active_captures() == 0 || (stream > kLegacy && part_of(stream) == Part::none);
}

void note_record(CUevent event, CUstream stream, bool external) {
  uint64_t handle;
  if (resolve_stream(stream, &handle) != CUDA_SUCCESS) return;
  std::lock_guard lock(g_mutex);
  state().record(as_handle(event), handle, external);
}

void heard(uint64_t stream, CUstreamCaptureStatus status) {
  std::lock_guard lock(g_mutex);
  state().settle(stream, status != CU_STREAM_CAPTURE_STATUS_NONE);
  if (status == CU_STREAM_CAPTURE_STATUS_INVALIDATED) state().doubt();
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
  if (is_certainly_none(handle)) {
    count_local();
    return CUDA_SUCCESS;
  }
  unsigned status;
  unsigned long long id;
  std::vector<uint8_t> nodes, edges;
  if (CUresult e = remote::nm_capture_info(stream, &status, &id, &out->graph, &nodes, &edges)) return e;
  out->id = id;
  out->status = static_cast<CUstreamCaptureStatus>(status);
  heard(handle, out->status);
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

int active_captures() { return g_open.load(std::memory_order_relaxed); }

CUresult is_captured(CUstream stream, bool* out) {
  *out = false;
  if (active_captures() == 0) [[likely]] return CUDA_SUCCESS;
  uint64_t handle;
  if (CUresult e = resolve_stream(stream, &handle)) return e;
  Part part = part_of(handle);
  if (part == Part::may) {
    CUstreamCaptureStatus status;
    if (CUresult e = remote::cuStreamIsCapturing(stream, &status)) return e;
    heard(handle, status);
    part = part_of(handle);
  }
  *out = part == Part::surely;
  return CUDA_SUCCESS;
}

bool capture_wants_answer(uint16_t op, uint64_t stream) {
  constexpr uint64_t kLegacy = 1;
  switch (op) {
    // Harmless to every capture: no driver refuses them, and no graph contains them.
    case op::cuEventCreate:
    case op::cuEventDestroy_v2:
    case op::cuFuncSetCacheConfig:
    case op::cuKernelSetAttribute:
    case op::cuKernelSetCacheConfig:
    case op::nm_capture_mode:
    case op::nm_graph_feed:
    case op::nm_managed_write:
    case op::nm_mirror_write:
      return false;
    // They name a stream and are not enqueued in it.
    case op::cuGraphUpload:
    case op::cuStreamCopyAttributes:
    case op::cuStreamSetAttribute:
      return part_of(stream) != Part::none;
  }
  // May wait or free, or would have to wait for a captured stream: which of it is forbidden only the driver knows.
  if (stream == kNoStream || stream <= kLegacy) return true;
  std::lock_guard lock(g_mutex);
  return state().is_doubted(stream);
}

void capture_was_answered(CUresult result) {
  if (result < CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED || result > CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD) return;
  std::lock_guard lock(g_mutex);
  state().doubt();
}

void note_event_record(CUevent event, CUstream stream) {
  if (active_captures()) note_record(event, stream, false);
}

void stream_destroyed(uint64_t handle) {
  if (active_captures()) ended(handle);
}

void context_destroyed(uint64_t context) {
  if (active_captures()) change([&](CaptureState& s) { s.end_context(context); });
}

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
  if (is_certainly_none(handle)) {
    *status = CU_STREAM_CAPTURE_STATUS_NONE;
    count_local();
    return CUDA_SUCCESS;
  }
  CUresult result = remote::cuStreamIsCapturing(stream, status);
  if (result == CUDA_SUCCESS) heard(handle, *status);
  return result;
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

// Events carry a capture from stream to stream.
NM_EXPORT CUresult cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned flags) {
  if (active_captures()) [[unlikely]] note_record(event, stream, flags & CU_EVENT_RECORD_EXTERNAL);
  return flags ? remote::cuEventRecordWithFlags(event, stream, flags) : remote::cuEventRecord(event, stream);
}

NM_EXPORT CUresult cuEventRecord(CUevent event, CUstream stream) { return cuEventRecordWithFlags(event, stream, 0); }

NM_EXPORT CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) {
  if (active_captures() == 0) [[likely]] return remote::cuStreamWaitEvent(stream, event, flags);
  uint64_t handle;
  if (CUresult e = resolve_stream(stream, &handle)) return e;
  bool refused;
  {
    std::lock_guard lock(g_mutex);
    refused = state().wait(handle, as_handle(event), flags & CU_EVENT_WAIT_EXTERNAL);
  }
  Answered answered(refused);
  return remote::cuStreamWaitEvent(stream, event, flags);
}

NM_EXPORT CUresult cuStreamUpdateCaptureDependencies_v2(CUstream stream, const CUgraphNode* nodes, const CUgraphEdgeData* edges,
                                                        size_t count, unsigned flags) {
  return remote::cuStreamUpdateCaptureDependencies_v2(stream, nodes, edges, count, flags);
}

NM_EXPORT CUresult cuStreamUpdateCaptureDependencies(CUstream stream, CUgraphNode* nodes, size_t count, unsigned flags) {
  return cuStreamUpdateCaptureDependencies_v2(stream, nodes, nullptr, count, flags);
}

}  // extern "C"
