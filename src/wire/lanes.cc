#include "wire/lanes.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <thread>

namespace nm::wire {
namespace {

using Clock = std::chrono::steady_clock;

// Large enough to be worth its header and its system calls, small enough that all lanes have some of a transfer.
constexpr uint64_t kSmallestPiece = 128 << 10;
// Waking up takes as long as some hundred kilobytes take to come: who has just been busy looks a little longer.
constexpr int64_t kSpinUs = 100;
constexpr size_t kSink = 64 << 10;  // of bytes that are dropped

// Until `done` or for a short while, where there are cores to spare.
template <typename F>
bool spin_until(F&& done) {
  static const bool spins = std::thread::hardware_concurrency() >= 8;
  if (done()) return true;
  if (!spins) return false;
  for (const auto until = Clock::now() + std::chrono::microseconds(kSpinUs); Clock::now() < until;) {
    for (int i = 0; i < 20; i++) __builtin_ia32_pause();
    if (done()) return true;
  }
  return false;
}

bool receive_all(int fd, void* to, size_t size) {
  auto* p = static_cast<char*>(to);
  while (size) {
    ssize_t n = recv(fd, p, size, MSG_WAITALL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    p += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

bool receive_and_drop(int fd, uint32_t size, std::vector<char>& sink) {
  sink.resize(std::max(sink.size(), kSink));
  while (size) {
    const auto n = static_cast<uint32_t>(std::min<size_t>(size, kSink));
    if (!receive_all(fd, sink.data(), n)) return false;
    size -= n;
  }
  return true;
}

bool send_all(int fd, const LaneHeader& header, const char* data) {
  iovec parts[2] = {{const_cast<LaneHeader*>(&header), sizeof header}, {const_cast<char*>(data), header.size}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = header.size ? 2 : 1;
  while (message.msg_iovlen) {
    ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    while (message.msg_iovlen && static_cast<size_t>(n) >= message.msg_iov->iov_len) {
      n -= static_cast<ssize_t>(message.msg_iov->iov_len);
      message.msg_iov++;
      message.msg_iovlen--;
    }
    if (n) {
      message.msg_iov->iov_base = static_cast<char*>(message.msg_iov->iov_base) + n;
      message.msg_iov->iov_len -= static_cast<size_t>(n);
    }
  }
  return true;
}

}  // namespace

Lanes::~Lanes() {
  end();
  // A thread may be the one that ends them and want the lock for it: it is not held while they are waited for.
  std::vector<std::unique_ptr<Lane>> lanes;
  {
    std::lock_guard lock(lanes_mutex_);
    lanes.swap(lanes_);
  }
  for (auto& lane : lanes) shutdown(lane->socket.get(), SHUT_RDWR);
  for (auto& lane : lanes) {
    pthread_join(lane->receiver, nullptr);
    if (lane->sends) pthread_join(lane->sender, nullptr);
    if (lane->buffer) munmap(lane->buffer, kSlots * kMaxPiece);
  }
}

bool Lanes::start(pthread_t* thread, void* (*entry)(void*), void* argument) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const bool ok = pthread_create(thread, nullptr, entry, argument) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return ok;
}

bool Lanes::add(Fd socket) {
  std::unique_lock lock(lanes_mutex_);
  if (lanes_.size() >= kMaxLanes || ended()) return false;
  auto lane = std::make_unique<Lane>();
  lane->socket = std::move(socket);
  lane->owner = this;
  lane->number = static_cast<unsigned>(lanes_.size());
  if (landing_ == Landing::buffers) {
    void* memory = mmap(nullptr, kSlots * kMaxPiece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return false;
    lane->buffer = static_cast<char*>(memory);
    lane->free_slots = (1u << kSlots) - 1;
  }
  if (!start(&lane->receiver, receive_entry, lane.get())) return false;
  const bool sends = lane->sends = start(&lane->sender, send_entry, this);
  if (sends) {
    std::lock_guard out(out_mutex_);
    idle_.push_back(lane.get());
    out_changed_.notify_all();
  }
  lanes_.push_back(std::move(lane));
  count_.store(lanes_.size(), std::memory_order_release);
  lock.unlock();
  if (!sends) end();
  return sends;
}

void Lanes::end() {
  if (ended_.exchange(true)) return;
  {
    std::lock_guard lock(lanes_mutex_);
    for (auto& lane : lanes_) shutdown(lane->socket.get(), SHUT_RDWR);
  }
  std::deque<std::shared_ptr<Job>> given_up;
  {
    std::lock_guard lock(in_mutex_);
    expected_changed_.notify_all();
    arrived_.notify_all();
  }
  {
    std::lock_guard lock(out_mutex_);
    // Those of which a piece is under way are finished by who sends it.
    for (auto& job : jobs_) {
      job->next = job->size;
      job->is_end = false;
      jobs_under_way_++;
      if (!job->under_way) given_up.push_back(job);
    }
    jobs_.clear();
    out_changed_.notify_all();
  }
  for (auto& job : given_up) {
    if (job->sent) job->sent();
  }
  {
    std::lock_guard lock(out_mutex_);
    jobs_under_way_ -= static_cast<unsigned>(given_up.size());
    out_done_.notify_all();
  }
  if (on_end_) on_end_();
}

void Lanes::abandon() {
  ended_ = true;
  for (auto& lane : lanes_) {
    lane->socket.reset();
    (void)lane.release();
  }
  lanes_.clear();
}

// ---- receiving ----

void* Lanes::receive_entry(void* argument) {
  prctl(PR_SET_NAME, "nearmetal-lane");
  auto* lane = static_cast<Lane*>(argument);
  lane->owner->receive(*lane);
  return nullptr;
}

void Lanes::receive(Lane& lane) {
  std::vector<char> sink;
  while (!ended() && receive_piece(lane, sink)) {
  }
  end();
}

// Of the part that the piece lies in; null: none is expected. The lock is held.
Lanes::Expected Lanes::find(uint64_t transfer, const LaneHeader& header) {
  auto it = expected_.upper_bound({transfer, header.offset});
  if (header.size == 0) {  // an end belongs to the one part that waits for it, which begins at 0
    it = expected_.find({transfer, 0});
    return it != expected_.end() && it->second->ends ? it->second : nullptr;
  }
  if (it == expected_.begin()) return nullptr;
  --it;
  if (it->first.first != transfer) return nullptr;
  const Expected& part = it->second;
  return header.offset - part->offset < part->size ? part : nullptr;
}

// The part that these bytes belong to; waits until it is expected. Null: it is an end and settled, or they end.
Lanes::Expected Lanes::claim(const LaneHeader& header) {
  for (;;) {
    const uint32_t before = expects_.load(std::memory_order_acquire);
    {
      std::unique_lock lock(in_mutex_);
      if (ended()) return nullptr;
      if (Expected part = find(header.transfer, header)) {
        if (header.size == 0) {
          // How much was sent is at most what was expected, and no less than what has come.
          if (header.offset > part->size || header.offset < part->size - part->unclaimed) return nullptr;
          part->unclaimed -= part->size - header.offset;
          part->ends = false;
          return part;
        }
        const uint64_t at = header.offset - part->offset;
        if (header.size > part->size - at || header.size > part->unclaimed) return nullptr;
        part->unclaimed -= header.size;
        part->writers++;
        return part;
      }
    }
    auto changed = [&] { return expects_.load(std::memory_order_acquire) != before || ended(); };
    if (spin_until(changed)) continue;
    std::unique_lock lock(in_mutex_);
    expected_changed_.wait(lock, changed);
  }
}

bool Lanes::receive_piece(Lane& lane, std::vector<char>& sink) {
  LaneHeader header;
  ssize_t n = 0;
  spin_until(
      [&] { return (n = recv(lane.socket.get(), &header, sizeof header, MSG_DONTWAIT)) >= 0 || errno != EAGAIN; });
  if (n < 0) n = 0;  // the blocking call tells why
  if (!receive_all(lane.socket.get(), reinterpret_cast<char*>(&header) + n, sizeof header - static_cast<size_t>(n)))
    return false;
  if (header.size > kMaxPiece) return false;
  if (landing_ == Landing::buffers) return receive_into_slot(lane, header);
  Expected part = claim(header);
  if (!part) return false;
  if (header.size == 0) return finish(header.transfer, part, part->size - header.offset + 1);
  const bool ok = part->to ? receive_where_expected(lane, header, *part, sink)
                           : receive_and_drop(lane.socket.get(), header.size, sink);
  bytes_received_.fetch_add(header.size, std::memory_order_relaxed);
  std::unique_lock lock(in_mutex_);
  part->writers--;
  if (!ok || ended() || !part->newer.empty()) arrived_.notify_all();  // who waits for the last writer
  if (!ok) return false;
  lock.unlock();
  return finish(header.transfer, part, header.size);
}

// The bytes of a piece of which claim() has counted us among the writers.
bool Lanes::receive_where_expected(Lane& lane, const LaneHeader& header, Part& part, std::vector<char>& memory) {
  char* const to = part.to + (header.offset - part.offset);
  bool may_be_late;
  {
    std::unique_lock lock(in_mutex_);
    if (!part.older.empty()) {
      // Pieces of older parts that are just being written here; those that begin later find what we take.
      part.taken.push_back({to, to + header.size});
      arrived_.wait(lock, [&] {
        return ended() || std::all_of(part.older.begin(), part.older.end(), [](auto& o) { return o->writers == 0; });
      });
      if (ended()) return false;
    }
    may_be_late = !part.newer.empty();
  }
  if (!may_be_late) return receive_all(lane.socket.get(), to, header.size);
  memory.resize(std::max<size_t>(memory.size(), header.size));
  if (!receive_all(lane.socket.get(), memory.data(), header.size)) return false;
  // All but what newer parts have taken, in order of address.
  std::lock_guard lock(in_mutex_);
  std::vector<std::pair<char*, char*>> taken;
  for (auto& n : part.newer) {
    if (auto newer = n.lock()) taken.insert(taken.end(), newer->taken.begin(), newer->taken.end());
  }
  std::sort(taken.begin(), taken.end());
  char *at = to, *const end = to + header.size;
  for (auto& [first, last] : taken) {
    if (first > at) memcpy(at, memory.data() + (at - to), static_cast<size_t>(std::min(first, end) - at));
    at = std::clamp(last, at, end);
    if (at == end) return true;
  }
  memcpy(at, memory.data() + (at - to), static_cast<size_t>(end - at));
  return true;
}

bool Lanes::receive_into_slot(Lane& lane, const LaneHeader& header) {
  if (header.size == 0) return false;  // an end of nothing
  for (;;) {
    const uint32_t before = frees_.load(std::memory_order_acquire);
    {
      std::lock_guard lock(in_mutex_);
      if (ended()) return false;
      if (lane.free_slots) break;
    }
    auto changed = [&] { return frees_.load(std::memory_order_acquire) != before || ended(); };
    if (spin_until(changed)) continue;
    std::unique_lock lock(in_mutex_);
    expected_changed_.wait(lock, changed);
  }
  Arrived piece;
  piece.size = header.size;
  piece.lane = lane.number;
  {
    std::lock_guard lock(in_mutex_);
    piece.slot = static_cast<unsigned>(std::countr_zero(lane.free_slots));
    lane.free_slots &= ~(1u << piece.slot);
  }
  piece.data = lane.buffer + size_t{piece.slot} * kMaxPiece;
  if (!receive_all(lane.socket.get(), piece.data, piece.size)) return false;
  bytes_received_.fetch_add(piece.size, std::memory_order_relaxed);
  std::lock_guard lock(in_mutex_);
  if (!landed_.try_emplace({header.transfer, header.offset}, piece).second) return false;  // the same piece twice
  landings_.fetch_add(1, std::memory_order_release);
  arrived_.notify_all();
  return true;
}

bool Lanes::take(uint64_t transfer, uint64_t offset, int64_t microseconds, Arrived* out) {
  const auto until = Clock::now() + std::chrono::microseconds(microseconds);
  for (;;) {
    const uint32_t before = landings_.load(std::memory_order_acquire);
    {
      std::lock_guard lock(in_mutex_);
      if (auto it = landed_.find({transfer, offset}); it != landed_.end()) {
        *out = it->second;
        landed_.erase(it);
        return true;
      }
      if (ended() || (microseconds >= 0 && Clock::now() >= until)) return false;
    }
    auto changed = [&] { return landings_.load(std::memory_order_acquire) != before || ended(); };
    if (spin_until(changed)) continue;
    std::unique_lock lock(in_mutex_);
    if (microseconds < 0)
      arrived_.wait(lock, changed);
    else
      arrived_.wait_until(lock, until, changed);
  }
}

void Lanes::give_back(const Arrived& piece) {
  std::lock_guard lock(in_mutex_);
  lanes_[piece.lane]->free_slots |= 1u << piece.slot;
  frees_.fetch_add(1, std::memory_order_release);
  expected_changed_.notify_all();
}

char* Lanes::buffer(unsigned number) const { return lanes_[number]->buffer; }

bool Lanes::finish(uint64_t transfer, const Expected& part, uint64_t bytes) {
  std::lock_guard lock(in_mutex_);
  if (part->left_.fetch_sub(bytes, std::memory_order_acq_rel) == bytes) {
    expected_.erase({transfer, part->offset});
    part->older.clear();
    arrived_.notify_all();
  }
  return true;
}

Lanes::Expected Lanes::expect(uint64_t transfer, uint64_t offset, void* to, uint64_t size, bool ends) {
  auto part = std::make_shared<Part>();
  part->offset = offset;
  part->size = part->unclaimed = size;
  part->to = static_cast<char*>(to);
  part->ends = ends;
  part->left_ = size + ends;
  if (!part->left_) return part;
  std::lock_guard lock(in_mutex_);
  for (auto& [name, other] : expected_) {
    if (!to || !other->to || part->to >= other->to + other->size || other->to >= part->to + size) continue;
    part->older.push_back(other);
    other->newer.push_back(part);
  }
  expected_[{transfer, offset}] = part;
  expects_.fetch_add(1, std::memory_order_release);
  expected_changed_.notify_all();
  return part;
}

bool Lanes::wait(const Expected& part, int64_t microseconds) {
  if (spin_until([&] { return part->is_here() || ended(); }) && part->is_here()) return true;
  std::unique_lock lock(in_mutex_);
  auto over = [&] { return part->is_here() || (ended() && !part->writers); };
  if (microseconds < 0)
    arrived_.wait(lock, over);
  else
    arrived_.wait_for(lock, std::chrono::microseconds(microseconds), over);
  return part->is_here();
}

void Lanes::forget(uint64_t transfer, const Expected& part) {
  std::lock_guard lock(in_mutex_);
  auto it = expected_.find({transfer, part->offset});
  if (it != expected_.end() && it->second == part) expected_.erase(it);
}

// ---- sending ----

void* Lanes::send_entry(void* argument) {
  prctl(PR_SET_NAME, "nearmetal-lane");
  static_cast<Lanes*>(argument)->send_pieces();
  return nullptr;
}

void Lanes::send_pieces() {
  std::unique_lock lock(out_mutex_);
  while (!ended()) {
    if (send_one(lock)) continue;
    const uint32_t before = sends_.load(std::memory_order_relaxed);
    auto changed = [&] { return sends_.load(std::memory_order_acquire) != before || ended(); };
    lock.unlock();
    const bool worth = spin_until(changed);
    lock.lock();
    if (!worth && !changed()) out_changed_.wait(lock);
  }
}

// Sends one piece, if there is one and a lane is free. The lock is held before and after.
bool Lanes::send_one(std::unique_lock<std::mutex>& lock) {
  if (ended() || jobs_.empty() || idle_.empty()) return false;
  std::shared_ptr<Job> job = jobs_.front();
  Lane* lane = idle_.back();
  idle_.pop_back();
  LaneHeader header{job->transfer, job->offset + job->next, 0, 0};
  const char* data = nullptr;
  if (job->is_end) {
    header.offset = job->offset;
  } else {
    header.size = static_cast<uint32_t>(std::min<uint64_t>(job->size - job->next, job->piece));
    data = job->data + job->next;
    job->next += header.size;
  }
  job->under_way++;
  if (job->next == job->size) {
    jobs_.pop_front();
    jobs_under_way_++;
  }
  lock.unlock();
  const bool ok = send_all(lane->socket.get(), header, data);
  bytes_sent_.fetch_add(header.size, std::memory_order_relaxed);
  if (!ok) end();
  lock.lock();
  idle_.push_back(lane);
  if (--job->under_way == 0 && job->next == job->size) {
    lock.unlock();
    if (job->sent) job->sent();
    lock.lock();
    jobs_under_way_--;
    out_done_.notify_all();
  }
  return true;
}

void Lanes::send(uint64_t transfer, uint64_t offset, const void* data, uint64_t size, std::function<void()> sent) {
  auto job = std::make_shared<Job>();
  job->transfer = transfer;
  job->offset = offset;
  job->data = static_cast<const char*>(data);
  job->size = size;
  job->sent = std::move(sent);
  {
    std::lock_guard lock(out_mutex_);
    if (!ended() && size) {
      // Where every lane has something to do, cutting it up brings nothing forward; what is needed next would more
      // often lie behind something else on its lane. A power of two, so that pieces end where the receiver's parts do.
      const size_t lanes = std::max<size_t>(1, count());
      const uint64_t share = jobs_.size() < lanes ? size / lanes : size;
      job->piece = static_cast<uint32_t>(std::bit_floor(std::clamp<uint64_t>(share, kSmallestPiece, kMaxPiece)));
      jobs_.push_back(std::move(job));
      sends_.fetch_add(1, std::memory_order_release);
      out_changed_.notify_all();
      return;
    }
  }
  if (job->sent) job->sent();
}

void Lanes::end_transfer(uint64_t transfer, uint64_t sent) {
  auto job = std::make_shared<Job>();
  job->transfer = transfer;
  job->offset = sent;
  job->data = nullptr;
  job->size = 0;
  job->piece = 0;
  job->is_end = true;
  std::lock_guard lock(out_mutex_);
  if (ended()) return;
  jobs_.push_back(std::move(job));
  sends_.fetch_add(1, std::memory_order_release);
  out_changed_.notify_one();
}

bool Lanes::help_until(const std::atomic<bool>& sent) {
  std::unique_lock lock(out_mutex_);
  while (!sent) {
    if (send_one(lock) || sent) continue;
    lock.unlock();
    const bool here = spin_until([&] { return sent.load(); });
    lock.lock();
    if (!here && !sent) out_done_.wait(lock);
  }
  // A lane that the caller leaves free is one that a sender may be waiting for.
  if (!jobs_.empty()) {
    sends_.fetch_add(1, std::memory_order_release);
    out_changed_.notify_one();
  }
  return !ended();
}

void Lanes::drain() {
  std::unique_lock lock(out_mutex_);
  out_done_.wait(lock, [this] { return jobs_.empty() && jobs_under_way_ == 0; });
}

}  // namespace nm::wire
