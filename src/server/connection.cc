#include "server/connection.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include <algorithm>

namespace nm::server {
namespace {

constexpr size_t kBuffer = 2 * wire::kMaxRecord;
constexpr uint64_t kMaxQueued = 8ull << 30;     // replies that nobody reads

}  // namespace

Connection::Connection(Fd fd, bool passes_fds) : fd_(std::move(fd)), passes_fds_(passes_fds), in_(kBuffer) {}

bool Connection::receive(void* to, uint64_t capacity, bool block, uint64_t* got) {
  *got = 0;
  for (;;) {
    iovec iov{to, capacity};
    msghdr message{};
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * wire::kMaxFds)];
    if (passes_fds_) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
    }
    ssize_t n = recvmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n > 0) {
      for (cmsghdr* c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
          int fd;
          memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
          fds_.emplace_back(fd);
        }
      }
      *got = static_cast<uint64_t>(n);
      return true;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      if (!block) return true;
      // The client may be stuck sending to us while it does not read: keep our own replies moving.
      if (!flush()) return false;
      wait(-1);
      continue;
    }
    closed_ = true;
    return false;
  }
}

// Makes at least `needed` bytes contiguous in the buffer if they have arrived; false only at the end of the stream.
bool Connection::fill(uint64_t needed) {
  if (end_ - at_ >= needed) return true;
  if (at_ + needed > in_.size() || at_ > in_.size() / 2) {
    memmove(in_.data(), in_.data() + at_, end_ - at_);
    end_ -= at_;
    at_ = 0;
  }
  uint64_t got;
  if (!receive(in_.data() + end_, in_.size() - end_, false, &got)) return false;
  end_ += got;
  return true;
}

Connection::Next Connection::next(wire::RecordHeader* header, std::span<const uint8_t>* body) {
  if (!fill(sizeof *header)) return Next::closed;
  if (end_ - at_ < sizeof *header) return Next::nothing;
  memcpy(header, in_.data() + at_, sizeof *header);
  if (header->size < sizeof *header || header->size > wire::kMaxRecord || header->bulk > wire::kMaxBulk ||
      header->fds > wire::kMaxFds) {
    closed_ = true;
    return Next::closed;
  }
  if (!fill(header->size)) return Next::closed;
  if (end_ - at_ < header->size) return Next::nothing;
  *body = {in_.data() + at_ + sizeof *header, header->size - sizeof *header};
  at_ += header->size;
  return Next::record;
}

bool Connection::read_bulk(void* to, uint64_t size) {
  auto* p = static_cast<uint8_t*>(to);
  // What is buffered already.
  uint64_t n = std::min<uint64_t>(size, end_ - at_);
  memcpy(p, in_.data() + at_, n);
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

Fd Connection::take_fd() {
  if (fds_.empty()) return {};
  Fd fd = std::move(fds_.front());
  fds_.pop_front();
  return fd;
}

void Connection::send(wire::ReplyHeader header, std::span<const uint8_t> body, std::vector<std::span<const uint8_t>> bulk,
                      std::function<void()> release, int fd) {
  header.size = static_cast<uint32_t>(sizeof header + body.size());
  header.fds = fd >= 0;
  header.bulk = 0;
  for (auto& b : bulk) header.bulk += b.size();
  Segment first;
  auto* h = reinterpret_cast<const uint8_t*>(&header);
  first.owned.reserve(header.size);
  first.owned.assign(h, h + sizeof header);
  first.owned.insert(first.owned.end(), body.begin(), body.end());
  first.fd = fd;
  queued_ += first.owned.size();
  out_.push_back(std::move(first));
  out_.back().data = out_.back().owned;
  for (auto& b : bulk) {
    queued_ += b.size();
    out_.push_back({{}, b, {}, -1});
  }
  out_.back().release = std::move(release);
  flush();
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
    msghdr message{};
    message.msg_iov = iov;
    message.msg_iovlen = count;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    if (fd >= 0) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      cmsghdr* c = CMSG_FIRSTHDR(&message);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = CMSG_LEN(sizeof fd);
      memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    ssize_t n = sendmsg(fd_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return queued_ < kMaxQueued;
    if (n <= 0) {
      closed_ = true;
      break;
    }
    if (fd >= 0) {
      ::close(fd);
      out_.front().fd = -1;
    }
    queued_ -= static_cast<uint64_t>(n);
    while (n > 0 || (!out_.empty() && out_.front().data.empty())) {
      Segment& s = out_.front();
      size_t k = std::min<size_t>(static_cast<size_t>(n), s.data.size());
      s.data = s.data.subspan(k);
      n -= static_cast<ssize_t>(k);
      if (!s.data.empty()) break;
      auto release = std::move(s.release);
      out_.pop_front();
      if (release) release();
    }
  }
  return !closed_;
}

void Connection::wait(int64_t microseconds) {
  pollfd p{fd_.get(), static_cast<short>(POLLIN | (out_.empty() ? 0 : POLLOUT)), 0};
  timespec t{microseconds / 1'000'000, microseconds % 1'000'000 * 1000};
  ppoll(&p, 1, microseconds < 0 ? nullptr : &t, nullptr);
}

}  // namespace nm::server
