#include "client/lane_copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <new>
#include <vector>

#include "client/call.h"
#include "client/capture.h"
#include "client/client.h"
#include "client/context.h"
#include "client/host_writes.h"
#include "wire/lanes.h"
#include "wire_ops.h"

namespace nm::client {
namespace {

constexpr size_t kRequest = 16 << 20;  // what is asked for at once: the server holds that much pinned memory for it
constexpr size_t kRequestsAhead = 4;
// Pushes on their way for which the server has memory ready. One that is held up must not hold up the program.
constexpr size_t kPushesAhead = 6;
constexpr int64_t kPatienceUs = 20'000;
constexpr size_t kPiece = 128 << 10;  // as lanes cut what is as small
// The end of a copy from pageable memory: at most so much, and so many of them on their way at once.
constexpr size_t kMostOfTail = 512 << 10, kTails = 8;
constexpr unsigned kDefaultLanes = 4;

struct Push {
  std::vector<wire::Lanes::Expected> parts;
  uint64_t address, size;
};

std::mutex g_join_mutex;
std::atomic<wire::Lanes*> g_lanes{nullptr};
std::atomic<bool> g_none{false};
std::atomic<uint64_t> g_next_transfer{1};
// The order of records in the channel is that of their bytes on the lanes.
std::mutex g_order_mutex;
std::mutex g_push_mutex;
std::map<uint64_t, Push>& pushes() {
  static auto* all = new std::map<uint64_t, Push>;
  return *all;
}
std::deque<wire::Lanes::Expected>& pushed_parts() {
  static auto* all = new std::deque<wire::Lanes::Expected>;
  return *all;
}

unsigned wished_lanes() {
  const char* text = getenv("NEARMETAL_LANES");
  if (!text || !*text) return kDefaultLanes;
  char* end;
  const unsigned long n = strtoul(text, &end, 10);
  if (*end || n > wire::kMaxLanes) {
    fprintf(stderr, "nearmetal: NEARMETAL_LANES=%s is not a number from 0 to %u; %u are used.\n", text, wire::kMaxLanes,
            kDefaultLanes);
    return kDefaultLanes;
  }
  return static_cast<unsigned>(n);
}

// Null: large copies go through the channel.
wire::Lanes* lanes() {
  if (wire::Lanes* l = g_lanes.load(std::memory_order_acquire)) [[likely]]
    return l;
  if (g_none.load(std::memory_order_relaxed)) return nullptr;
  std::lock_guard lock(g_join_mutex);
  if (g_lanes || g_none) return g_lanes;
  Channel& channel = Client::get()->channel();
  const unsigned wished = channel.shares_memory() ? 0 : wished_lanes();
  auto* made = wished ? new wire::Lanes : nullptr;  // lives as long as the process, like the client
  if (made) made->on_end([] { Client::get()->channel().fail("a connection for large copies ended"); });
  for (unsigned i = 0; i < wished; i++) {
    auto fd = Channel::join(channel.address(), channel.token(), wire::Purpose::lane);
    if (!fd || !made->add(std::move(*fd))) {
      // What there is will do; none at all is no reason to fail either.
      if (!fd)
        fprintf(stderr, "nearmetal: large copies have %u connections instead of %u: %s\n", i, wished,
                fd.error().message.c_str());
      break;
    }
  }
  if (!made || !made->count()) {
    g_none = true;
    return nullptr;
  }
  g_lanes.store(made, std::memory_order_release);
  return made;
}

CUresult lost() {
  Client::get()->channel().fail("a connection for large copies ended");
  return CUDA_ERROR_UNKNOWN;
}

// A posted request for bytes: `part` is expected if there is no error.
CUresult ask(wire::Lanes& lanes, void* dst, CUdeviceptr src, size_t size, uint64_t stream, uint64_t transfer,
             uint64_t address, wire::Lanes::Expected* part) {
  *part = lanes.expect(transfer, 0, dst, size, true);
  Call call(op::nm_lane_push);
  call.in_stream(stream);
  for (uint64_t word : {transfer, uint64_t{size}, uint64_t{src}, stream, address}) call.args().u64(word);
  CUresult e = call.post();
  if (e != CUDA_SUCCESS) lanes.forget(transfer, *part);
  return e;
}

// Waits while the oldest of many still come.
void let_pushes_come(wire::Lanes& l) {
  for (;;) {
    wire::Lanes::Expected oldest;
    {
      std::lock_guard lock(g_push_mutex);
      auto& parts = pushed_parts();
      while (!parts.empty() && parts.front()->is_here()) parts.pop_front();
      if (parts.size() < kPushesAhead) return;
      oldest = parts.front();
    }
    if (l.wait(oldest, kPatienceUs)) continue;
    std::lock_guard lock(g_push_mutex);
    if (!pushed_parts().empty() && pushed_parts().front() == oldest) pushed_parts().pop_front();
    return;
  }
}

// Memory for the ends of copies. Null: all of it is on its way.
class Tails {
 public:
  char* take() {
    std::lock_guard lock(mutex_);
    if (free_.empty()) return made_ < kTails && ++made_ ? new (std::nothrow) char[kMostOfTail] : nullptr;
    char* tail = free_.back();
    free_.pop_back();
    return tail;
  }
  void give_back(char* tail) {
    std::lock_guard lock(mutex_);
    free_.push_back(tail);
  }
  static Tails& get() {
    static auto* all = new Tails;
    return *all;
  }

 private:
  std::mutex mutex_;
  std::vector<char*> free_;
  size_t made_ = 0;
};

}  // namespace

bool can_use_lanes() {
  return !Client::get()->channel().shares_memory() && !Client::get()->strict() && !Answered::wanted() &&
         !active_captures() && lanes();
}

CUresult lane_copy_in(CUdeviceptr dst, const void* src, size_t size, CUstream stream, bool pinned) {
  wire::Lanes& l = *lanes();
  uint64_t handle;
  if (CUresult e = resolve_stream(stream, &handle)) return e;
  const uint64_t transfer = g_next_transfer.fetch_add(1);
  Call call(op::nm_lane_in);
  call.in_stream(handle);
  for (uint64_t word : {transfer, uint64_t{size}, uint64_t{dst}, handle}) call.args().u64(word);
  std::atomic<bool> sent{false};
  {
    std::lock_guard order(g_order_mutex);
    if (CUresult e = call.post()) return e;
    if (pinned) {
      l.send(transfer, 0, src, size, {});
      return CUDA_SUCCESS;
    }
    // The program may go on when its bytes are taken. Those that come last are copied while the others are sent, so
    // that the lanes have something to do until its next copy comes. A thread copies a third in the time in which four
    // lanes send the rest.
    const size_t end = std::min(size * 3 / 8, kMostOfTail) & ~(kPiece - 1);
    char* const tail = end ? Tails::get().take() : nullptr;
    const size_t head = tail ? size - end : size;
    l.send(transfer, 0, src, head, [&sent] { sent = true; });
    if (tail) {
      memcpy(tail, static_cast<const char*>(src) + head, end);
      l.send(transfer, head, tail, end, [tail] { Tails::get().give_back(tail); });
    }
  }
  return l.help_until(sent) ? CUDA_SUCCESS : lost();
}

CUresult lane_copy_out(void* dst, CUdeviceptr src, size_t size, CUstream stream) {
  wire::Lanes& l = *lanes();
  uint64_t handle;
  if (CUresult e = resolve_stream(stream, &handle)) return e;
  auto* to = static_cast<char*>(dst);
  std::deque<wire::Lanes::Expected> coming;
  CUresult result = CUDA_SUCCESS;
  size_t asked = 0;
  while (result == CUDA_SUCCESS && size - asked > kRequest) {
    wire::Lanes::Expected part;
    result = ask(l, to + asked, src + asked, kRequest, handle, g_next_transfer.fetch_add(1), 0, &part);
    if (result != CUDA_SUCCESS) break;
    Client::get()->channel().flush();
    coming.push_back(std::move(part));
    asked += kRequest;
    if (coming.size() < kRequestsAhead) continue;
    if (!l.wait(coming.front(), -1)) result = lost();
    coming.pop_front();
  }
  if (result == CUDA_SUCCESS) {
    // The last one is answered in the channel: with what went wrong before, and behind all that goes first.
    const size_t n = size - asked;
    const uint64_t transfer = g_next_transfer.fetch_add(1);
    auto part = l.expect(transfer, 0, to + asked, n, true);
    Call call(op::nm_lane_out);
    for (uint64_t word : {transfer, uint64_t{n}, uint64_t{src + asked}, handle}) call.args().u64(word);
    result = call.surface(call.wait());
    if (call.was_answered())
      coming.push_back(std::move(part));
    else
      l.forget(transfer, part);
  }
  if (Client::get()->channel().lost()) l.end();
  for (auto& part : coming) {
    if (!l.wait(part, -1) && result == CUDA_SUCCESS) result = lost();
  }
  return result;
}

CUresult lane_push(void* dst, CUdeviceptr src, size_t size, CUstream stream) {
  wire::Lanes& l = *lanes();
  uint64_t handle;
  if (CUresult e = resolve_stream(stream, &handle)) return e;
  Push push{{}, reinterpret_cast<uint64_t>(dst), size};
  for (size_t at = 0; at < size;) {
    let_pushes_come(l);
    const size_t n = std::min(size - at, kRequest);
    const bool is_last = at + n == size;
    const uint64_t transfer = g_next_transfer.fetch_add(1);
    // Held, so that the push is known before the server can tell of it.
    std::lock_guard lock(g_push_mutex);
    wire::Lanes::Expected part;
    CUresult e = ask(l, static_cast<char*>(dst) + at, src + at, n, handle, transfer, is_last ? push.address : 0, &part);
    if (e != CUDA_SUCCESS) return e;
    pushed_parts().push_back(part);
    push.parts.push_back(std::move(part));
    if (is_last) pushes()[transfer] = std::move(push);
    at += n;
  }
  return CUDA_SUCCESS;
}

bool receive_lane_push(uint64_t address, uint64_t transfer) {
  Push push;
  {
    std::lock_guard lock(g_push_mutex);
    auto it = pushes().find(transfer);
    if (it == pushes().end() || it->second.address != address) return false;
    push = std::move(it->second);
    pushes().erase(it);
  }
  for (auto& part : push.parts) {
    if (!g_lanes.load()->wait(part, -1)) return false;
  }
  host_write_has_come(push.address, push.size);
  return true;
}

void lane_bytes(uint64_t* sent, uint64_t* received) {
  wire::Lanes* l = g_lanes.load(std::memory_order_acquire);
  *sent = l ? l->bytes_sent() : 0;
  *received = l ? l->bytes_received() : 0;
}

void abandon_lanes() {
  if (wire::Lanes* l = g_lanes.load(std::memory_order_acquire)) l->abandon();
}

}  // namespace nm::client
