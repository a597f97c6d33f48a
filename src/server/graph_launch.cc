// Launches of graphs that copy from or to slots. Everything happens in stream order and nothing here waits: not for the
// device, and so not for a host function of the client either.
#include <algorithm>
#include <cstring>

#include "server/graphs.h"
#include "server/session.h"

namespace nm::server {
namespace {

// Bytes for slots that an earlier launch still reads: put there by the driver's callback thread when it is the turn.
struct Feed {
  std::weak_ptr<GraphSlots> slots;
  std::vector<GraphSlots::Update> updates;

  static void run(void* user_data) {
    std::unique_ptr<Feed> feed(static_cast<Feed*>(user_data));
    if (auto slots = feed->slots.lock()) slots->apply(feed->updates);
  }
};

bool in_capture(Session& s, CUstream stream) {
  if (!s.any_capture()) return false;
  CUstreamCaptureStatus status;
  return s.driver().cuStreamIsCapturing(stream, &status) == CUDA_SUCCESS && status != CU_STREAM_CAPTURE_STATUS_NONE;
}

}  // namespace

std::shared_ptr<GraphExec> Graphs::exec(CUgraphExec exec) const {
  auto it = execs_.find(exec);
  return it == execs_.end() ? nullptr : it->second;
}

void Graphs::set_copies(CUgraphExec exec, std::vector<CopyNode> copies) {
  auto it = execs_.find(exec);
  if (it == execs_.end()) {
    bool any = std::any_of(copies.begin(), copies.end(), [](const CopyNode& c) { return c.src || c.dst; });
    if (!any) return;
    it = execs_.emplace(exec, std::make_shared<GraphExec>()).first;
  }
  // An update brings another graph's nodes; later calls name those that the program instantiated from.
  auto& mine = it->second->copies;
  if (mine.size() == copies.size()) {
    for (size_t i = 0; i < mine.size(); i++) copies[i].node = mine[i].node;
  }
  mine = std::move(copies);
}

void Graphs::set_copy(CUgraphExec exec, const CopyNode& copy) {
  auto it = execs_.find(exec);
  if (it == execs_.end()) {
    set_copies(exec, {copy});
    return;
  }
  for (CopyNode& mine : it->second->copies) {
    if (mine.node != copy.node) continue;
    mine = copy;
    return;
  }
  it->second->copies.push_back(copy);
}

void Graphs::forget(CUgraphExec exec) {
  auto it = execs_.find(exec);
  if (it == execs_.end()) return;
  if (it->second->done) s_.driver().cuEventDestroy_v2(it->second->done);
  execs_.erase(it);
}

void Graphs::write_slots(CUgraphExec exec, std::vector<uint8_t>* out) const {
  auto it = execs_.find(exec);
  if (it == execs_.end()) return;
  wire::Writer w(*out);
  for (const GraphSlots::Ref& slot : it->second->slots()) w.u64(slot->id);
}

CUresult Graphs::feed(CUgraphExec exec, uint64_t id, uint64_t version, uint64_t size) {
  auto e = this->exec(exec);
  if (!e || size != s_.record().bulk) return CUDA_ERROR_INVALID_VALUE;
  GraphSlots::Ref slot;
  for (const GraphSlots::Ref& mine : e->slots()) {
    if (mine->id == id) slot = mine;
  }
  if (!slot || size != slot->size) return CUDA_ERROR_INVALID_VALUE;
  GraphSlots::Update update{id, version, std::vector<uint8_t>(size)};
  if (!s_.read_bulk(update.bytes.data(), size)) return CUDA_ERROR_UNKNOWN;
  if (slot->running) {
    RelaxedCapture relaxed(s_.driver());  // asks about events of ours
    s_.completions().progress();
  }
  if (slot->running || !e->pending.empty()) e->pending.push_back(std::move(update));
  else slots_->apply({&update, 1});
  return CUDA_SUCCESS;
}

// After what runs now with the slots that get new bytes, and before what comes next in the stream.
CUresult Graphs::feed_in_stream(GraphExec& exec, CUstream stream) {
  const DriverTable& d = s_.driver();
  auto* feed = new Feed{slots_, std::move(exec.pending)};
  exec.pending.clear();
  bool busy = false;
  for (auto& [driver_exec, other] : execs_) {
    if (!other->running || !other->done) continue;
    for (const GraphSlots::Ref& slot : other->slots()) {
      bool fed = std::any_of(feed->updates.begin(), feed->updates.end(), [&](auto& u) { return u.slot == slot->id; });
      if (!fed) continue;
      busy = true;
      if (CUresult e = d.cuStreamWaitEvent(stream, other->done, 0)) {
        delete feed;
        return e;
      }
      break;
    }
  }
  if (!busy) {
    Feed::run(feed);
    return CUDA_SUCCESS;
  }
  CUresult e = d.cuLaunchHostFunc(stream, Feed::run, feed);
  if (e != CUDA_SUCCESS) delete feed;
  return e;
}

CUresult Graphs::launch(CUgraphExec driver_exec, CUstream stream) {
  const DriverTable& d = s_.driver();
  auto e = exec(driver_exec);
  if (!e) return d.cuGraphLaunch(driver_exec, stream);
  if (in_capture(s_, stream)) {
    CUresult result = d.cuGraphLaunch(driver_exec, stream);
    // The captured graph holds a copy of this one and dies by itself.
    if (result == CUDA_SUCCESS) count_slots(e->copies, true);
    return result;
  }
  auto slots = e->slots();
  uint64_t handle = s_.tables().graphexec.virtual_of(driver_exec);
  // Whatever happens, the client hears that this launch is over.
  auto over = [this, e, slots, handle] {
    auto written = slots_->take_written(slots);
    for (const GraphSlots::Ref& slot : slots) slot->running--;
    e->running--;
    s_.has_pushed();
    for (auto& update : written) {
      auto* bytes = new std::vector<uint8_t>(std::move(update.bytes));
      s_.push(wire::PushKind::graph_output, {update.slot, update.version}, *bytes, [bytes] { delete bytes; });
    }
    s_.push(wire::PushKind::graph_done, {handle});
  };
  for (const GraphSlots::Ref& slot : slots) slot->running++;
  e->running++;
  s_.expect_push();
  CUresult result = CUDA_SUCCESS;
  if (!e->done) {
    result = d.cuEventCreate(&e->done, CU_EVENT_DISABLE_TIMING);
    e->context = s_.context();
  }
  if (result == CUDA_SUCCESS && !e->pending.empty()) result = feed_in_stream(*e, stream);
  if (result == CUDA_SUCCESS) result = d.cuGraphLaunch(driver_exec, stream);
  if (result == CUDA_SUCCESS) result = d.cuEventRecord(e->done, stream);
  if (result == CUDA_SUCCESS) {
    result = s_.completions().after(s_.context(), stream, [over, this, context = s_.record().context](CUresult status) {
      if (status != CUDA_SUCCESS) s_.keep_error(context, status);
      over();
    });
  }
  if (result != CUDA_SUCCESS) over();
  return result;
}

}  // namespace nm::server
