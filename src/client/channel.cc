#include "client/channel.h"

#include <errno.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include <algorithm>
#include <thread>

#include "base/version.h"
#include "wire/ring_stream.h"

namespace nm::client {
namespace {

constexpr size_t kFlushBytes = 128 << 10;  // more than this is sent by the thread that posts
constexpr size_t kInlineBulk = 64 << 10;   // bulk up to this size is gathered with the records
constexpr size_t kReceiveBuffer = 256 << 10;
constexpr long kFlushPeriodNs = 20'000;
constexpr int kIdlePeriods = 50;  // then the flusher sleeps until somebody posts
constexpr Millis kConnectTimeout{5'000};
constexpr timeval kWelcomePatience{60, 0};  // a cold worker may have to initialise a driver first

void futex(std::atomic<uint32_t>* word, int op, uint32_t value) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(word), op, value, nullptr, nullptr, 0);
}

uint64_t now_us() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return uint64_t(t.tv_sec) * 1'000'000 + t.tv_nsec / 1000;
}

bool send_plain(int fd, const void* data, size_t size) {
  auto* p = static_cast<const char*>(data);
  while (size) {
    ssize_t n = ::send(fd, p, size, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    p += n;
    size -= n;
  }
  return true;
}

bool receive_plain(int fd, void* data, size_t size) {
  auto* p = static_cast<char*>(data);
  while (size) {
    ssize_t n = ::recv(fd, p, size, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    p += n;
    size -= n;
  }
  return true;
}

// A peer that vanished without a word is noticed within about five seconds.
void detect_loss(int fd) {
  int on = 1, idle = 2, interval = 1, count = 3;
  unsigned timeout_ms = 5000;
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
}

// Says who we are and hears whether that is welcome.
Result<Fd> greet(const wire::Address& address, wire::Purpose purpose, const std::vector<uint8_t>& environment,
                 const wire::Token& join, wire::Token* token) {
  auto fd = wire::dial(address, kConnectTimeout);
  if (!fd) return fd.error();
  if (address.kind == wire::Address::Kind::tcp) detect_loss(fd->get());
  const std::string where = "nearmetal server at " + address.text();
  wire::Hello hello;
  hello.purpose = purpose;
  strncpy(hello.version, NM_VERSION, sizeof hello.version - 1);
  hello.token = join;
  hello.pid = static_cast<uint32_t>(getpid());
  strncpy(hello.program, program_invocation_short_name, sizeof hello.program - 1);
  hello.env_size = static_cast<uint32_t>(environment.size());
  setsockopt(fd->get(), SOL_SOCKET, SO_RCVTIMEO, &kWelcomePatience, sizeof kWelcomePatience);
  wire::Welcome welcome;
  // The server may refuse and close before it has read everything, so its word counts more than a failed send.
  bool sent =
      send_plain(fd->get(), &hello, sizeof hello) && send_plain(fd->get(), environment.data(), environment.size());
  if (!receive_plain(fd->get(), &welcome, sizeof welcome)) {
    return Error{"The " + where + (sent ? " accepted the connection and said nothing" : " closed the connection") +
                 "; look into its log."};
  }
  if (welcome.magic != wire::kMagic) return Error{"What listens at " + address.text() + " is not a nearmetal server."};
  std::string message(std::min(welcome.message_size, wire::kMaxMessage), '\0');
  if (!receive_plain(fd->get(), message.data(), message.size())) message.clear();
  if (welcome.status != wire::Status::ok) return Error{message.empty() ? "The " + where + " refused." : message};
  timeval forever{0, 0};
  setsockopt(fd->get(), SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
  *token = welcome.token;
  return std::move(*fd);
}

}  // namespace

Result<std::unique_ptr<Channel>> Channel::connect(const wire::Address& address, wire::Purpose purpose,
                                                  const std::vector<uint8_t>& environment, PushHandler on_push) {
  // A way to tell the transports apart where one is under suspicion, and to compare them.
  const char* wish = getenv("NEARMETAL_TRANSPORT");
  const bool socket = wish && strcmp(wish, "socket") == 0;
  if (wish && *wish && !socket && strcmp(wish, "ring") != 0) {
    return Error{"NEARMETAL_TRANSPORT=" + std::string(wish) +
                 " is no transport: set it to ring or socket, or not at all."};
  }
  wire::Token token;
  auto fd = greet(address, purpose, environment, {}, &token);
  if (!fd) return fd.error();
  bool is_unix = address.kind == wire::Address::Kind::unix_socket;
  bool ring = purpose == wire::Purpose::cuda && !socket;
  auto stream = wire::offer_transport(std::move(*fd), is_unix, ring);
  if (!stream) return Error{"The nearmetal server at " + address.text() + " closed the connection; look into its log."};
  return std::unique_ptr<Channel>(new Channel(address, std::move(stream), token, std::move(on_push)));
}

std::unique_ptr<Channel> Channel::over(std::unique_ptr<wire::Stream> stream, PushHandler on_push) {
  return std::unique_ptr<Channel>(new Channel({}, std::move(stream), {}, std::move(on_push)));
}

Result<Fd> Channel::join(const wire::Address& address, const wire::Token& session, wire::Purpose purpose) {
  wire::Token token;
  return greet(address, purpose, {}, session, &token);
}

Channel::Channel(wire::Address address, std::unique_ptr<wire::Stream> stream, wire::Token token, PushHandler on_push)
    : address_(std::move(address)), stream_(std::move(stream)), token_(token), on_push_(std::move(on_push)) {
  // Spinning pays where the server has a core of its own.
  spin_us_ = std::thread::hardware_concurrency() >= 4 ? 50 : 5;
  // A core that sleeps takes some 20 us until it runs again, and then runs cold. A driver's own waits would spin.
  watch_us_ = std::thread::hardware_concurrency() >= 8 ? 400 : static_cast<uint64_t>(spin_us_) + 30;
  in_.resize(kReceiveBuffer);
  if (stream_->writes_directly()) return;
  // No signal of the program may be delivered to our thread.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_create(&flusher_thread_, nullptr, flusher_entry, this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Channel::~Channel() {
  if (stream_->writes_directly()) return;
  flush();
  stop_ = true;
  flusher_sleeps_ = 0;
  futex(&flusher_sleeps_, FUTEX_WAKE_PRIVATE, 1);
  pthread_join(flusher_thread_, nullptr);
}

void Channel::abandon() {
  lost_ = true;
  said_ = true;
  stream_.reset();
}

void Channel::fail(const std::string& reason) {
  if (!said_.exchange(true)) {
    fprintf(stderr, "nearmetal: lost the server at %s: %s. Results since the last synchronisation are not valid.\n",
            address_.text().c_str(), reason.c_str());
  }
  lost_.store(true, std::memory_order_release);
  stream_->shut();
  std::lock_guard lock(in_mutex_);
  in_changed_.notify_all();
}

// ---- sending ----

bool Channel::ended() {
  if (!lost()) fail(errno ? strerror(errno) : "it closed the connection");
  return false;
}

bool Channel::send_all(std::span<iovec> parts, int fd) {
  uint64_t give_up = 0;
  while (!parts.empty()) {
    ssize_t n = stream_->write(parts, fd);
    if (n < 0) return ended();
    if (n == 0) {
      uint64_t now = now_us();
      if (!give_up) give_up = now + spin_us_;
      if (now >= give_up) stream_->wait(wire::Stream::kWritable, -1);
      if (lost()) return false;
      continue;
    }
    fd = -1;
    give_up = 0;
    while (!parts.empty() && static_cast<size_t>(n) >= parts[0].iov_len) {
      n -= static_cast<ssize_t>(parts[0].iov_len);
      parts = parts.subspan(1);
    }
    if (n) {
      parts[0].iov_base = static_cast<char*>(parts[0].iov_base) + n;
      parts[0].iov_len -= static_cast<size_t>(n);
    }
  }
  return true;
}

// Under the lock that puts the record in its place among the others.
void Channel::count(Pending* pending) {
  (pending ? counters_.waited : counters_.posted).fetch_add(1, std::memory_order_relaxed);
  if (pending) pending->place = sent();
}

bool Channel::flush_holding_send_mutex(bool before_another, Pending* pending) {
  {
    std::lock_guard lock(out_mutex_);
    sending_.swap(out_);
    if (before_another) count(pending);
  }
  if (sending_.empty()) return true;
  counters_.bytes_out.fetch_add(sending_.size(), std::memory_order_relaxed);
  iovec all{sending_.data(), sending_.size()};
  bool ok = send_all({&all, 1}, -1);
  sending_.clear();
  return ok;
}

void Channel::flush() {
  std::lock_guard lock(send_mutex_);
  if (!lost()) flush_holding_send_mutex();
}

bool Channel::append(const wire::RecordHeader& header, std::span<const uint8_t> body, const void* bulk, int fd,
                     Pending* pending) {
  iovec parts[] = {{const_cast<wire::RecordHeader*>(&header), sizeof header},
                   {const_cast<uint8_t*>(body.data()), body.size()},
                   {const_cast<void*>(bulk), header.bulk}};
  const uint64_t size = sizeof header + body.size() + header.bulk;
  if (stream_->writes_directly()) {
    counters_.bytes_out.fetch_add(size, std::memory_order_relaxed);
    std::lock_guard lock(send_mutex_);
    count(pending);
    return send_all(parts, fd);
  }
  if (fd >= 0 || header.bulk > kInlineBulk) {
    // Large bytes go from the program's memory to the socket; nothing may come between the record and them.
    std::lock_guard lock(send_mutex_);
    if (!flush_holding_send_mutex(true, pending)) return false;
    counters_.bytes_out.fetch_add(size, std::memory_order_relaxed);
    return send_all(parts, fd);
  }
  bool full;
  {
    std::lock_guard lock(out_mutex_);
    count(pending);
    for (auto& p : parts) {
      auto* bytes = static_cast<const uint8_t*>(p.iov_base);
      out_.insert(out_.end(), bytes, bytes + p.iov_len);
    }
    full = out_.size() > kFlushBytes;
  }
  if (full) {
    std::lock_guard send_lock(send_mutex_);
    return flush_holding_send_mutex();
  }
  return true;
}

bool Channel::post(wire::RecordHeader header, std::span<const uint8_t> body, const void* bulk, int fd) {
  if (lost()) return false;
  header.size = static_cast<uint32_t>(sizeof header + body.size());
  header.sequence = 0;
  header.fds = fd >= 0;
  if (!append(header, body, bulk, fd, nullptr)) return false;
  if (flusher_sleeps_.load(std::memory_order_seq_cst)) {
    flusher_sleeps_.store(0, std::memory_order_relaxed);
    futex(&flusher_sleeps_, FUTEX_WAKE_PRIVATE, 1);
  }
  return true;
}

void* Channel::flusher_entry(void* self) {
  prctl(PR_SET_NAME, "nearmetal");
  prctl(PR_SET_TIMERSLACK, 1'000ul);
  static_cast<Channel*>(self)->flusher();
  return nullptr;
}

void Channel::flusher() {
  int idle = 0;
  while (!stop_) {
    bool empty;
    {
      std::lock_guard lock(out_mutex_);
      empty = out_.empty();
    }
    if (!empty && !lost()) {
      idle = 0;
      flush();
    } else if (++idle > kIdlePeriods) {
      // Announce the sleep first and look again after, so that no post falls between.
      flusher_sleeps_.store(1, std::memory_order_seq_cst);
      bool still_empty;
      {
        std::lock_guard lock(out_mutex_);
        still_empty = out_.empty();
      }
      if ((still_empty || lost()) && !stop_) futex(&flusher_sleeps_, FUTEX_WAIT_PRIVATE, 1);
      flusher_sleeps_.store(0, std::memory_order_relaxed);
      idle = 0;
      continue;
    }
    timespec period{0, kFlushPeriodNs};
    nanosleep(&period, nullptr);
  }
}

// ---- receiving ----

bool Channel::call(wire::RecordHeader header, std::span<const uint8_t> body, const void* bulk, int fd,
                   Pending* pending) {
  if (lost()) return false;
  {
    std::lock_guard lock(in_mutex_);
    if (++next_sequence_ == 0) next_sequence_ = 1;
    pending->sequence = next_sequence_;
    pending_.push_back(pending);
  }
  header.size = static_cast<uint32_t>(sizeof header + body.size());
  header.sequence = pending->sequence;
  header.fds = fd >= 0;
  bool sent = append(header, body, bulk, fd, pending);
  if (sent && stream_->writes_directly()) {
    wait(pending);
  } else if (sent) {
    flush();
    const uint64_t since = now_us();
    wait(pending);
    const uint64_t took = now_us() - since, before = quickest_us_.load(std::memory_order_relaxed);
    // It creeps up, so that one quick answer is not believed for ever.
    quickest_us_.store(std::min(took, before + before / 16 + 1), std::memory_order_relaxed);
  }
  std::lock_guard lock(in_mutex_);
  std::erase(pending_, pending);
  return pending->done;
}

void Channel::wait(Pending* pending) {
  std::unique_lock lock(in_mutex_);
  while (!pending->done && !lost()) {
    if (reading_) {
      in_changed_.wait(lock);
      continue;
    }
    reading_ = true;
    lock.unlock();
    bool ok = read_message();
    lock.lock();
    reading_ = false;
    in_changed_.notify_all();
    if (!ok) return;
  }
}

// The program's thread sleeps up to 50 us longer than it is told, and would be late for the answer.
void Channel::sleep_precisely(int64_t microseconds) {
  const int slack = prctl(PR_GET_TIMERSLACK);
  prctl(PR_SET_TIMERSLACK, 1'000ul);
  stream_->wait(wire::Stream::kReadable, microseconds);
  if (slack > 0) prctl(PR_SET_TIMERSLACK, static_cast<unsigned long>(slack));
}

bool Channel::receive_some(void* data, uint64_t capacity, uint64_t* got) {
  uint64_t give_up = 0;
  for (;;) {
    ssize_t n = stream_->read(data, capacity);
    if (n < 0) return ended();
    if (n > 0) {
      counters_.bytes_in.fetch_add(static_cast<uint64_t>(n), std::memory_order_relaxed);
      *got = static_cast<uint64_t>(n);
      return true;
    }
    // Waking a sleeping thread costs more than the call itself: look a little longer before sleeping. Over a far
    // network, sleep first, for less than any answer takes.
    const uint64_t now = now_us();
    if (!give_up) {
      const uint64_t quickest = quickest_us_.load(std::memory_order_relaxed), spin = static_cast<uint64_t>(spin_us_);
      const bool is_far = quickest > 2 * spin;
      if (is_far && quickest > watch_us_) sleep_precisely(static_cast<int64_t>(quickest - watch_us_));
      give_up = now + (is_far ? quickest : 0) + spin;
    } else if (now >= give_up) {
      stream_->wait(wire::Stream::kReadable, -1);
    }
    if (lost()) return false;
  }
}

bool Channel::read_exact(void* data, uint64_t size) {
  auto* p = static_cast<uint8_t*>(data);
  while (size) {
    if (in_at_ < in_end_) {
      size_t n = std::min<uint64_t>(size, in_end_ - in_at_);
      memcpy(p, in_.data() + in_at_, n);
      in_at_ += n;
      p += n;
      size -= n;
      continue;
    }
    uint64_t got;
    if (size >= kInlineBulk) {
      if (!receive_some(p, size, &got)) return false;
      p += got;
      size -= got;
    } else {
      if (!receive_some(in_.data(), in_.size(), &got)) return false;
      in_at_ = 0;
      in_end_ = got;
    }
  }
  return true;
}

// Reads one message and delivers it. The caller holds the reader's role and no lock.
bool Channel::read_message() {
  wire::ReplyHeader header;
  if (!read_exact(&header, sizeof header)) return false;
  if (header.size < sizeof header || header.size - sizeof header > wire::kMaxReply || header.bulk > wire::kMaxBulk ||
      header.fds > wire::kMaxFds) {
    fail("it sent a reply of impossible size");
    return false;
  }
  std::vector<uint8_t> body(header.size - sizeof header);
  if (!read_exact(body.data(), body.size())) return false;
  if (header.sequence == 0) {
    uint64_t left = header.bulk;
    bool ok = on_push_(static_cast<wire::PushKind>(header.result), body, header.bulk, [&](void* to, uint64_t size) {
      if (size > left) return false;
      left -= size;
      return read_exact(to, size);
    });
    if ((!ok || left) && !lost()) fail("it pushed something that nobody asked for");
    return ok && left == 0;
  }
  Pending* pending = nullptr;
  {
    std::lock_guard lock(in_mutex_);
    for (Pending* p : pending_) {
      if (p->sequence == header.sequence && !p->done) pending = p;
    }
  }
  if (!pending || header.bulk > pending->bulk_size) {
    fail("it sent a reply that nobody waits for");
    return false;
  }
  // A failed call brings no bulk; a successful one brings all of it.
  if (header.bulk && !read_exact(pending->bulk, header.bulk)) return false;
  if (header.result == 0 && header.bulk != pending->bulk_size) {
    fail("it sent less data than was asked for");
    return false;
  }
  std::vector<Fd> fds;
  for (int i = 0; i < header.fds; i++) {
    fds.push_back(stream_->take_fd());
    if (!fds.back()) {
      fail("it sent a reply without the descriptor that belongs to it");
      return false;
    }
  }
  std::lock_guard lock(in_mutex_);
  pending->result = header.result;
  pending->deferred = header.deferred;
  pending->body = std::move(body);
  pending->fds = std::move(fds);
  pending->done = true;
  return true;
}

}  // namespace nm::client
