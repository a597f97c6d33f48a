#include "client/call.h"

#include <stdio.h>
#include <time.h>

#include "client/client.h"
#include "client/context.h"
#include "client/statistics.h"
#include "client/thread_state.h"
#include "wire_ops.h"

namespace nm::client {
namespace {

uint64_t now_us() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000 + static_cast<uint64_t>(t.tv_nsec) / 1000;
}

}  // namespace

namespace {

thread_local bool t_answered = false;

}  // namespace

Answered::Answered(bool wanted) : before_(t_answered) { t_answered = t_answered || wanted; }
Answered::~Answered() { t_answered = before_; }
bool Answered::wanted() { return t_answered; }

Call::Call(uint16_t op) : op_(op), context_(current_context()), body_(std::move(thread_state().scratch)), writer_(body_) {
  body_.clear();
}

Call::~Call() {
  // Saves the next call an allocation.
  if (body_.capacity() <= (64 << 10)) thread_state().scratch = std::move(body_);
}

void Call::bulk_in(const void* data, uint64_t size) {
  bulk_ = data;
  bulk_size_ = size;
}

void Call::bulk_out(void* data, uint64_t size) {
  pending_.bulk = data;
  pending_.bulk_size = size;
}

wire::RecordHeader Call::header() const {
  wire::RecordHeader h{};
  h.op = op_;
  h.thread = thread_number();
  h.context = context_;
  h.bulk = bulk_size_;
  return h;
}

void Call::trace(const char* how, CUresult result, uint64_t since_us) {
  const uint64_t now = now_us();
  char waited[40] = "";
  if (since_us) snprintf(waited, sizeof waited, ", %llu us", static_cast<unsigned long long>(now - since_us));
  fprintf(stderr, "nearmetal: %llu.%06llu [%u] %s %s, %zu bytes, %llu bulk -> %d%s\n",
          static_cast<unsigned long long>(now / 1'000'000), static_cast<unsigned long long>(now % 1'000'000), thread_number(),
          how, op_name(op_), body_.size(), static_cast<unsigned long long>(bulk_size_ + pending_.bulk_size),
          static_cast<int>(result), waited);
}

CUresult Call::post() {
  Client& client = *Client::get();
  if (client.strict() || Answered::wanted() || (active_captures() && capture_wants_answer(op_, stream_))) [[unlikely]] {
    return surface(wait());
  }
  if (CUresult e = context_error(context_)) return e;
  if (body_.size() + sizeof(wire::RecordHeader) > wire::kMaxRecord) return CUDA_ERROR_INVALID_VALUE;
  bool ok = client.channel().post(header(), body_, bulk_, fd_);
  CUresult result = ok ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
  if (Statistics::wanted()) [[unlikely]] Statistics::posted(op_, sizeof(wire::RecordHeader) + body_.size() + bulk_size_);
  if (client.traced()) [[unlikely]] trace("posted", result, 0);
  return result;
}

CUresult Call::wait() {
  Client& client = *Client::get();
  if (CUresult e = sticky_error(context_)) return e;
  if (body_.size() + sizeof(wire::RecordHeader) > wire::kMaxRecord) return CUDA_ERROR_INVALID_VALUE;
  const uint64_t since = client.traced() || Statistics::wanted() ? now_us() : 0;
  bool ok = client.channel().call(header(), body_, bulk_, fd_, &pending_);
  CUresult result = ok ? static_cast<CUresult>(pending_.result) : CUDA_ERROR_UNKNOWN;
  if (Statistics::wanted()) [[unlikely]] {
    Statistics::waited(op_, sizeof(wire::RecordHeader) + body_.size() + bulk_size_,
                       sizeof(wire::ReplyHeader) + pending_.body.size() + pending_.bulk_size, now_us() - since);
  }
  if (client.traced()) [[unlikely]] trace("waited for", result, since);
  if (!ok) return result;
  thread_state().answered = pending_.place;
  if (pending_.deferred) keep_error(context_, static_cast<CUresult>(pending_.deferred));
  if (result != CUDA_SUCCESS) {
    keep_if_sticky(context_, result);
    if (active_captures()) capture_was_answered(result);
  }
  reader_.emplace(pending_.body);
  return result;
}

CUresult Call::surface(CUresult result) {
  if (result != CUDA_SUCCESS) return result;
  return context_error(context_);
}

CUresult Call::malformed() {
  Client::get()->channel().fail("it sent a reply that cannot be read");
  return CUDA_ERROR_UNKNOWN;
}

}  // namespace nm::client
