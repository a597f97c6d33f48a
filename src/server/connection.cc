#include "server/connection.h"

#include <string.h>

#include <algorithm>

namespace nm::server {
namespace {

constexpr size_t kBuffer = 2 * wire::kMaxRecord;  // bytes received and not yet consumed
// Read ahead of the handlers. Where that costs no system call a little at a time: a ring has the next bytes brought
// here meanwhile, and the driver needs the cache, too.
constexpr size_t kAtOnce = 64 << 10, kAtOnceFromRing = 1 << 10;
constexpr size_t kCheapToMove = 512;
constexpr uint64_t kMaxQueued = 8ull << 30;  // replies that nobody reads

}  // namespace

Connection::Connection(std::unique_ptr<wire::Stream> stream)
    : stream_(std::move(stream)),
      at_once_(stream_->writes_directly() ? kAtOnceFromRing : kAtOnce),
      in_(new uint8_t[kBuffer]) {}

bool Connection::receive(void* to, uint64_t capacity, bool block, uint64_t* got) {
  *got = 0;
  for (;;) {
    ssize_t n = stream_->read(to, capacity);
    if (n > 0) {
      *got = static_cast<uint64_t>(n);
      return true;
    }
    if (n < 0) {
      closed_ = true;
      return false;
    }
    if (!block) return true;
    // The client may be stuck sending to us while it does not read: keep our own replies moving.
    if (!flush()) return false;
    wait(-1);
  }
}

// Makes at least `needed` bytes, of which some are missing, contiguous in the buffer if they have arrived; false only
// at the end of the stream.
bool Connection::fill(uint64_t needed) {
  // The same memory again, for it is in the cache: what is left of a record is little, mostly.
  if (end_ - at_ <= kCheapToMove || at_ + needed > kBuffer || at_ > kBuffer / 2) {
    memmove(in_.get(), in_.get() + at_, end_ - at_);
    end_ -= at_;
    at_ = 0;
  }
  uint64_t got;
  const size_t room = std::min<size_t>(kBuffer - end_, std::max<size_t>(needed, at_once_));
  if (!receive(in_.get() + end_, room, false, &got)) return false;
  end_ += got;
  return true;
}

Connection::Next Connection::next(wire::RecordHeader* header, std::span<const uint8_t>* body) {
  if (end_ - at_ < sizeof *header) {
    if (!fill(sizeof *header)) return Next::closed;
    if (end_ - at_ < sizeof *header) return Next::nothing;
  }
  memcpy(header, in_.get() + at_, sizeof *header);
  if (header->size < sizeof *header || header->size > wire::kMaxRecord || header->bulk > wire::kMaxBulk ||
      header->fds > wire::kMaxFds) {
    closed_ = true;
    return Next::closed;
  }
  if (end_ - at_ < header->size) {
    if (!fill(header->size)) return Next::closed;
    if (end_ - at_ < header->size) return Next::nothing;
  }
  *body = {in_.get() + at_ + sizeof *header, header->size - sizeof *header};
  at_ += header->size;
  return Next::record;
}

bool Connection::read_bulk(void* to, uint64_t size) {
  auto* p = static_cast<uint8_t*>(to);
  // What is buffered already.
  uint64_t n = std::min<uint64_t>(size, end_ - at_);
  memcpy(p, in_.get() + at_, n);
  at_ += n;
  p += n;
  size -= n;
  while (size) {
    uint64_t got;
    if (!receive(p, size, true, &got)) return false;
    p += got;
    size -= got;
  }
  return true;
}

bool Connection::skip_bulk(uint64_t size) {
  std::vector<uint8_t> sink(std::min<uint64_t>(size, 1 << 20));
  while (size) {
    uint64_t n = std::min<uint64_t>(size, sink.size());
    if (!read_bulk(sink.data(), n)) return false;
    size -= n;
  }
  return true;
}

Fd Connection::take_fd() { return stream_->take_fd(); }

void Connection::send(wire::ReplyHeader header, std::span<const uint8_t> body,
                      std::vector<std::span<const uint8_t>> bulk, std::function<void()> release, int fd) {
  header.size = static_cast<uint32_t>(sizeof header + body.size());
  header.fds = fd >= 0;
  header.bulk = 0;
  for (auto& b : bulk) header.bulk += b.size();
  // Most replies are small and there is room for them: they need no memory of ours.
  ssize_t sent = 0;
  if (constexpr size_t kPieces = 4; out_.empty() && bulk.size() <= kPieces && fd < 0 && !closed_) {
    iovec parts[2 + kPieces] = {{&header, sizeof header}, {const_cast<uint8_t*>(body.data()), body.size()}};
    size_t count = 2;
    for (auto& b : bulk) parts[count++] = {const_cast<uint8_t*>(b.data()), b.size()};
    sent = stream_->write({parts, count});
    if (sent < 0) closed_ = true;
    if (sent == static_cast<ssize_t>(header.size + header.bulk)) {
      if (release) release();
      return;
    }
  }
  queue(header, body, fd);
  for (auto& b : bulk) {
    queued_ += b.size();
    out_.push_back({{}, b, {}, -1});
  }
  out_.back().release = std::move(release);
  if (sent > 0) advance(static_cast<uint64_t>(sent));
  flush();
}

void Connection::queue(const wire::ReplyHeader& header, std::span<const uint8_t> body, int fd) {
  Segment s;
  auto* h = reinterpret_cast<const uint8_t*>(&header);
  s.owned.reserve(header.size);
  s.owned.assign(h, h + sizeof header);
  s.owned.insert(s.owned.end(), body.begin(), body.end());
  s.fd = fd;
  queued_ += s.owned.size();
  out_.push_back(std::move(s));
  out_.back().data = out_.back().owned;
}

// So many bytes of the queue are on their way.
void Connection::advance(uint64_t n) {
  queued_ -= n;
  while (n > 0 || (!out_.empty() && out_.front().data.empty())) {
    Segment& s = out_.front();
    size_t k = std::min<uint64_t>(n, s.data.size());
    s.data = s.data.subspan(k);
    n -= k;
    if (!s.data.empty()) break;
    auto release = std::move(s.release);
    out_.pop_front();
    if (release) release();
  }
}

bool Connection::flush() {
  while (!out_.empty() && !closed_) {
    iovec iov[16];
    size_t count = 0;
    int fd = out_.front().fd;
    for (auto& s : out_) {
      if (count == 16 || (count && s.fd >= 0)) break;
      iov[count++] = {const_cast<uint8_t*>(s.data.data()), s.data.size()};
    }
    ssize_t n = stream_->write({iov, count}, fd);
    if (n == 0) return queued_ < kMaxQueued;
    if (n < 0) {
      closed_ = true;
      break;
    }
    if (fd >= 0) {
      ::close(fd);
      out_.front().fd = -1;
    }
    advance(static_cast<uint64_t>(n));
  }
  return !closed_;
}

void Connection::wait(int64_t microseconds) {
  stream_->wait(wire::Stream::kReadable | (out_.empty() ? 0 : wire::Stream::kWritable), microseconds);
}

}  // namespace nm::server
