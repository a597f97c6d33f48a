#include "server/session.h"

#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <thread>

#include "server/graphs.h"
#include "server/lane_ops.h"
#include "server/launch_ops.h"
#include "wire/codec.h"

namespace nm::server {
namespace {

// How long the thread looks for input, and for work to finish, before it lets the processor go. Waking up is the most
// expensive part of a call, so look as long as the machine can afford it: for input as long as a client at the other
// end of a short network takes to answer; while the program waits for the device, as the driver would by default. Then
// in naps that grow with the wait, so that they make it longer by a thousandth at most.
struct Patience {
  int64_t input_us, device_us, nap_us, long_nap_us;
};
Patience patience() {
  if (std::thread::hardware_concurrency() >= 4) return {400, 20'000, 20, 200};
  return {10, 10, 50, 500};
}

int64_t now_us() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1'000'000 + t.tv_nsec / 1000;
}

uint64_t total(const std::vector<std::span<const uint8_t>>& parts) {
  uint64_t bytes = 0;
  for (auto& part : parts) bytes += part.size();
  return bytes;
}

}  // namespace

Session::Session(const DriverTable& driver, Connection connection, HostFunctions& host_functions, wire::Lanes& lanes,
                 SessionPage* page)
    : driver_(driver),
      connection_(std::move(connection)),
      completions_(driver,
                   [this](CUcontext context) {
                     if (!current_known_ || context != current_) enter(context);
                   }),
      staging_(driver),
      host_ranges_(driver),
      host_functions_(host_functions),
      lanes_(lanes),
      meter_(driver, page),
      graphs_(std::make_unique<Graphs>(*this)) {
  each_owned_table([this](auto& table) { table.owned_by(&current_); });
}

Session::~Session() {
  // Their threads send from memory of this session and tell it so.
  lanes_.end();
  lanes_.drain();
}

template <typename F>
void Session::each_owned_table(F&& f) {
  f(tables_.module), f(tables_.function), f(tables_.stream), f(tables_.event), f(tables_.array), f(tables_.mipmap);
  f(tables_.texref), f(tables_.surfref), f(tables_.linker);
}

void Session::leave(CUcontext context) {
  RelaxedCapture relaxed(driver_);  // what we wait for is ours
  completions_.drain();
  lanes_.drain();
  lane_memory_.collect(staging_);
  lane_memory_.unpin(driver_, lanes_, context);
  completions_.forget(context);
  staging_.forget(context);
  graphs_->leave(context);
  meter_.leave(context);
  each_owned_table([context](auto& table) { table.drop_owned(context); });
  streams_.forget(context);
  std::erase_if(captures_, [context](const auto& c) { return c.second.context == context; });
  errors_.clear();  // they were about work that is gone
  current_known_ = false;
}

void Session::run() {
  const Patience p = patience();
  int64_t idle_since = now_us();
  prctl(PR_SET_TIMERSLACK, 1'000ul);  // a nap is as long as it says
  // Our own use of the driver must not disturb a capture of the client.
  if (driver_.cuThreadExchangeStreamCaptureMode) {
    CUstreamCaptureMode relaxed = CU_STREAM_CAPTURE_MODE_RELAXED;
    driver_.cuThreadExchangeStreamCaptureMode(&relaxed);
  }
  for (;;) {
    std::span<const uint8_t> body;
    bool worked = false;
    for (int i = 0; i < 64; i++) {
      auto next = connection_.next(&record_, &body);
      if (next == Connection::Next::closed) return;
      if (next == Connection::Next::nothing) break;
      worked = true;
      if (record_.op == op::nm_launch && launch_quickly(body)) continue;
      if (!handle_one(body)) return;
    }
    const bool called = worked;
    if (completions_.progress()) worked = true;
    if (lane_memory_.collect(staging_)) worked = true;
    if (!connection_.flush()) return;
    if (worked) {
      idle_since = now_us();
      if (called) meter_.called(idle_since);
      continue;
    }
    int64_t idle = now_us() - idle_since;
    const bool waits_for_client = completions_.empty() && !lane_memory_.under_way();
    if (idle < (waits_for_client ? p.input_us : p.device_us)) continue;
    if (waits_for_client) {
      send_output();
      connection_.wait(-1);
      idle_since = now_us();
    } else {
      connection_.wait(std::clamp(idle / 1'000, p.nap_us, p.long_nap_us));
    }
  }
}

// A stream of launches is as fast as this thread and the driver on it, and the driver leaves little of ours in the
// processor's caches: what most launches are gets its own short way. False: not one of them; nothing was done.
bool Session::launch_quickly(std::span<const uint8_t> body) {
  // As the generated handler reads it: ten words, no attributes, and the parameters.
  constexpr size_t kWords = 13;
  enum { kFunction, kGrid, kBlock = 4, kShared = 7, kStream, kForm, kAttributes, kAttributesSize, kParameters };
  uint64_t w[kWords], last;
  if (body.size() < sizeof w + sizeof last) return false;
  memcpy(w, body.data(), sizeof w);
  memcpy(&last, body.data() + body.size() - sizeof last, sizeof last);
  size_t size = w[kParameters];
  const size_t room = body.size() - sizeof w - sizeof last;
  if (w[kForm] | w[kAttributes] | w[kAttributesSize] | record_.sequence | record_.bulk) return false;
  if (size != last || size > room || room - size > 7 || room & 7) return false;
  completions_.settle();
  CUcontext context;
  CUfunction function;
  CUstream stream = reinterpret_cast<CUstream>(w[kStream]);
  if (!captures_.empty() || !current_known_ || !tables_.context.find(record_.context, &context) || context != current_)
    return false;
  if (!function_of(w[kFunction], &function) || (w[kStream] > 1 && !tables_.stream.find(w[kStream], &stream)))
    return false;
  if (w[kStream] > 1) streams_.named(stream, current_);
  meter_.arrived(record_);
  // SAFETY: the driver reads the buffer during the call and writes nothing to it.
  void* extra[] = {kLaunchPointer, const_cast<uint8_t*>(body.data() + sizeof w), kLaunchSize, &size, nullptr};
  auto at = [&w](int i) { return static_cast<unsigned>(w[i]); };
  const CUresult result =
      driver_.cuLaunchKernel(function, at(kGrid), at(kGrid + 1), at(kGrid + 2), at(kBlock), at(kBlock + 1),
                             at(kBlock + 2), at(kShared), stream, nullptr, size ? extra : nullptr);
  if (result == CUDA_SUCCESS) [[likely]]
    meter_.launched();
  else
    keep_error(record_.context, result);
  return true;
}

bool Session::handle_one(std::span<const uint8_t> body) {
  const wire::RecordHeader& header = record_;
  meter_.arrived(header);
  bulk_left_ = header.bulk;
  reply_fd_ = -1;
  named_stream_ = nullptr;
  transfer_taken_ = false;
  completions_.settle();
  const Operation* operation = operation_of(header.op);
  if (!operation || (operation->needs_reply && header.sequence == 0)) return false;

  CUresult result = CUDA_SUCCESS;
  // A context that is not there (a primary one that nobody retained yet, say) is none: the driver answers as it would.
  CUcontext context;
  if (!tables_.context.find(header.context, &context)) context = nullptr;
  if (!current_known_ || context != current_) result = enter(context);
  reply_body_.clear();
  Outcome outcome = Outcome::done;
  if (result == CUDA_SUCCESS) {
    // What is forbidden during a capture is forbidden to the client's threads as it would be without us.
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
    bool exchanged = !captures_.empty() && capture_forbids(header.thread) &&
                     driver_.cuThreadExchangeStreamCaptureMode &&
                     driver_.cuThreadExchangeStreamCaptureMode(&mode) == CUDA_SUCCESS;
    wire::Reader in(body);
    wire::Writer out(reply_body_);
    outcome = operation->handle(*this, in, out, &result);
    if (exchanged) driver_.cuThreadExchangeStreamCaptureMode(&mode);
  }
  // These change what is current behind our back, or what the current context is.
  switch (header.op) {
    case op::cuCtxCreate_v2:
    case op::nm_context_create:
    case op::nm_primary_retain:
      current_known_ = false;
      break;
    case op::cuMemFreeAsync:
      freed_in_stream_ = true;
  }
  if (outcome == Outcome::protocol_error) return false;
  if (result == CUDA_SUCCESS || outcome == Outcome::deferred) {
    meter_.done(header.op, current_, body, reply_body_);
  }
  if (!transfer_taken_ && !give_up_transfer(body)) return false;
  if (bulk_left_ && !connection_.skip_bulk(bulk_left_)) return false;
  if (outcome == Outcome::deferred) return true;
  if (header.sequence) push_first();
  if (header.sequence == 0) {
    if (result != CUDA_SUCCESS && !break_capture()) keep_error(header.context, result);
    return true;
  }
  reply({header.sequence, header.context}, result, reply_body_, {}, nullptr, reply_fd_);
  return true;
}

// A record that was refused before its handler could care: its bytes come nevertheless, or are waited for.
bool Session::give_up_transfer(std::span<const uint8_t> body) {
  if (record_.op != op::nm_lane_in && record_.op != op::nm_lane_out && record_.op != op::nm_lane_push) return true;
  wire::Reader in(body);
  const uint64_t transfer = in.u64(), size = in.u64();
  if (in.bad() || size > wire::kMaxBulk || !lanes_.count()) return false;
  if (record_.op != op::nm_lane_in) {
    lanes_.end_transfer(transfer, 0);
    return true;
  }
  return drop_lane_bytes(*this, transfer, 0, size);
}

bool Session::read_bulk(void* to, uint64_t size) {
  if (size > bulk_left_) return false;
  if (!connection_.read_bulk(to, size)) return false;
  bulk_left_ -= size;
  return true;
}

bool Session::read_bulk(uint64_t size, std::vector<uint8_t>* out) {
  constexpr uint64_t kStep = 1 << 20;
  out->clear();
  while (out->size() < size) {
    const uint64_t had = out->size(), more = std::min(size - had, std::max(had, kStep));
    out->resize(had + more);
    if (!read_bulk(out->data() + had, more)) return false;
  }
  return true;
}

void Session::push_first() {
  if (!pushes_expected_) return;
  RelaxedCapture relaxed(driver_);  // a handler has the mode of the client's thread
  completions_.progress();
}

CUresult Session::enter(CUcontext context) {
  CUresult result = driver_.cuCtxSetCurrent(context);
  // Where no device is visible the driver stays uninitialised, and there is no context to leave.
  if (!context && (result == CUDA_ERROR_NOT_INITIALIZED || result == CUDA_ERROR_NO_DEVICE)) result = CUDA_SUCCESS;
  current_known_ = result == CUDA_SUCCESS;
  current_ = context;
  return result;
}

bool Session::stream_of(uint64_t handle, CUstream* out) {
  if (handle <= 1) {
    *out = reinterpret_cast<CUstream>(handle);
    return true;
  }
  if (!tables_.stream.find(handle, out)) return false;
  named_stream_ = *out;
  streams_.named(*out, current_);
  return true;
}

bool Session::function_of(uint64_t handle, CUfunction* out) {
  if (tables_.function.find(handle, out)) return true;
  CUkernel kernel;
  if (!tables_.kernel.find(handle, &kernel)) return false;
  *out = reinterpret_cast<CUfunction>(kernel);  // the driver takes a kernel wherever it takes a function
  return true;
}

void Session::retire_stream(CUstream stream) {
  completions_.retire(stream);
  CUevent event;
  if (streams_.retire(stream) && completions_.record(current_, stream, &event) == CUDA_SUCCESS) {
    streams_.left_behind(current_, event);
  }
}

void Session::reply(const Later& to, CUresult result, std::span<const uint8_t> body,
                    std::vector<std::span<const uint8_t>> bulk, std::function<void()> release, int fd) {
  if (may_print_) send_output();  // to look costs a system call
  wire::ReplyHeader header{};
  header.sequence = to.sequence;
  header.result = result;
  header.deferred = take_error(to.context);
  meter_.sent(sizeof header + body.size() + total(bulk));
  connection_.send(header, body, std::move(bulk), std::move(release), fd);
}

void Session::push(wire::PushKind kind, std::initializer_list<uint64_t> words, std::span<const uint8_t> bytes,
                   std::function<void()> release) {
  wire::ReplyHeader header{};
  header.result = static_cast<int32_t>(kind);
  std::vector<uint8_t> body;
  wire::Writer out(body);
  for (uint64_t word : words) out.u64(word);
  std::vector<std::span<const uint8_t>> bulk;
  if (!bytes.empty()) bulk.push_back(bytes);
  meter_.sent(sizeof header + body.size() + bytes.size());
  connection_.send(header, body, std::move(bulk), std::move(release));
}

// What kernels printed goes out before the reply that the program waits for.
void Session::send_output() {
  std::string text = output_.take();
  while (!text.empty()) {
    constexpr size_t kPiece = 256 << 10;
    auto piece = std::make_shared<const std::string>(text.substr(0, kPiece));
    text.erase(0, piece->size());
    wire::ReplyHeader header{};
    header.result = static_cast<int32_t>(wire::PushKind::output);
    std::vector<uint8_t> body;
    wire::Writer(body).u64(1);
    connection_.send(header, body, {{reinterpret_cast<const uint8_t*>(piece->data()), piece->size()}}, [piece] {});
  }
}

bool Session::is_managed_variable(uint64_t address, uint64_t size) const {
  auto it = managed_variables_.upper_bound(address);
  if (it == managed_variables_.begin()) return false;
  --it;
  uint64_t offset = address - it->first;
  return offset < it->second && size <= it->second - offset;
}

void Session::keep_error(uint64_t context, CUresult result) { errors_.try_emplace(context, result); }

CUresult Session::take_error(uint64_t context) {
  auto it = errors_.find(context);
  if (it == errors_.end()) return CUDA_SUCCESS;
  CUresult result = it->second;
  errors_.erase(it);
  return result;
}

const Session::Capture* Session::capture_of(CUstream stream) const {
  auto it = captures_.find(stream);
  return it == captures_.end() ? nullptr : &it->second;
}

void Session::capture_begins(CUstream stream, CUstreamCaptureMode mode) {
  CUcontext context = current_;
  if (!driver_.cuStreamGetCtx || driver_.cuStreamGetCtx(stream, &context) != CUDA_SUCCESS) context = current_;
  captures_[stream] = {record_.thread, mode, context};
}

bool Session::break_capture() {
  CUstreamCaptureStatus status;
  if (captures_.empty() || !named_stream_) return false;
  if (driver_.cuStreamIsCapturing(named_stream_, &status) != CUDA_SUCCESS || status == CU_STREAM_CAPTURE_STATUS_NONE) {
    return false;
  }
  // No capture survives being asked whether it is done: every later call hears of it from the driver.
  if (status == CU_STREAM_CAPTURE_STATUS_ACTIVE) driver_.cuStreamQuery(named_stream_);
  return true;
}

void Session::capture_ends(CUstream stream) { captures_.erase(stream); }

void Session::set_thread_mode(CUstreamCaptureMode mode) {
  if (mode == CU_STREAM_CAPTURE_MODE_GLOBAL)
    thread_modes_.erase(record_.thread);
  else
    thread_modes_[record_.thread] = mode;
}

bool Session::capture_forbids(uint32_t thread) const {
  auto it = thread_modes_.find(thread);
  CUstreamCaptureMode own = it == thread_modes_.end() ? CU_STREAM_CAPTURE_MODE_GLOBAL : it->second;
  if (own == CU_STREAM_CAPTURE_MODE_RELAXED) return false;
  for (auto& [stream, capture] : captures_) {
    if (capture.mode == CU_STREAM_CAPTURE_MODE_RELAXED) continue;
    bool elsewhere = own == CU_STREAM_CAPTURE_MODE_GLOBAL && capture.mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
    if (capture.thread == thread || elsewhere) return true;
  }
  return false;
}

}  // namespace nm::server
