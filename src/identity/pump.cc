#include "identity/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>

namespace nm::identity {
namespace {

constexpr size_t kBuffer = 256 << 10;
// Each makes us compute new keys. Ours send one in 64 GiB.
constexpr uint64_t kFreeKeyUpdates = 16, kBytesPerKeyUpdate = 1 << 20;

class Pump {
 public:
  Pump(SslPtr ssl, Fd network, Fd local, const PumpOptions& options)
      : options_(options), network_(std::move(network)), local_(std::move(local)), ssl_(std::move(ssl)) {
    for (const int fd : {network_.get(), local_.get()}) ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    SSL_set_read_ahead(ssl_.get(), 1);
    // A peer whose kernel encrypts cannot say that it has ended but by ending. What travels here has lengths of its
    // own, so cutting it short gains nobody anything.
    SSL_set_options(ssl_.get(), SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_set_msg_callback(ssl_.get(), on_message);
    SSL_set_msg_callback_arg(ssl_.get(), this);
  }

  void run() {
    while (!broken_ && !(in_.closed && out_.closed)) {
      const bool moved_in = move_in(), moved_out = move_out();
      if (!moved_in && !moved_out && !broken_) wait();
    }
    // A worker, or a program, must hear that it is over even where others hold its socket, too.
    ::shutdown(local_.get(), SHUT_RDWR);
    ::shutdown(network_.get(), SHUT_RDWR);
  }

 private:
  struct Direction {
    // Not touched before it is needed: most connections carry small messages.
    std::unique_ptr<char[]> bytes = std::make_unique_for_overwrite<char[]>(kBuffer);
    size_t begin = 0, end = 0;
    bool ended = false;   // nothing more comes from the one side
    bool closed = false;  // and the other side has been told
    bool empty() const { return begin == end; }
  };

  // From the network to the local socket. False: nothing could be done.
  bool move_in() {
    bool moved = false;
    if (in_.empty() && !in_.ended) moved = read_network();
    if (broken_) return false;
    while (!in_.empty()) {
      const ssize_t sent = ::send(local_.get(), in_.bytes.get() + in_.begin, in_.end - in_.begin, MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno == EAGAIN) return moved;
      if (sent < 0) return lost();
      in_.begin += static_cast<size_t>(sent);
      moved = true;
    }
    if (in_.ended && !in_.closed) {
      ::shutdown(local_.get(), SHUT_WR);
      in_.closed = moved = true;
    }
    return moved;
  }

  bool read_network() {
    in_.begin = in_.end = 0;
    read_wants_ = POLLIN;
    while (in_.end < kBuffer) {
      ERR_clear_error();
      errno = 0;
      size_t got = 0;
      const int result = SSL_read_ex(ssl_.get(), in_.bytes.get() + in_.end, kBuffer - in_.end, &got);
      if (broken_) return false;  // by a message that was no data
      if (result == 1) {
        in_.end += got;
        received_ += got;
        continue;
      }
      switch (SSL_get_error(ssl_.get(), result)) {
        case SSL_ERROR_WANT_READ:
          return in_.end > 0;
        case SSL_ERROR_WANT_WRITE:
          read_wants_ = POLLOUT;
          return in_.end > 0;
        case SSL_ERROR_ZERO_RETURN:
          in_.ended = true;
          return true;
        default:
          // Cut off, which is not the same as ended: what was read before still goes on.
          if (in_.end == 0) return lost();
          return true;
      }
    }
    return true;
  }

  bool move_out() {
    bool moved = false;
    if (out_.empty() && !out_.ended) {
      out_.begin = out_.end = 0;
      const ssize_t got = ::recv(local_.get(), out_.bytes.get(), kBuffer, 0);
      if (got == 0) out_.ended = moved = true;
      if (got < 0 && errno != EAGAIN && errno != EINTR) return lost();
      if (got > 0) {
        out_.end = static_cast<size_t>(got);
        moved = true;
      }
    }
    write_wants_ = 0;
    while (!out_.empty()) {
      ERR_clear_error();
      size_t sent = 0;
      const int result = SSL_write_ex(ssl_.get(), out_.bytes.get() + out_.begin, out_.end - out_.begin, &sent);
      if (result != 1) return write_failed(result) ? moved : lost();
      out_.begin += sent;
      sent_ += sent;
      moved = true;
      if (sent_ >= options_.rekey_after) {
        sent_ = 0;
        SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED);  // goes out with what is written next
      }
    }
    if (out_.ended && !out_.closed) {
      ERR_clear_error();
      const int result = SSL_shutdown(ssl_.get());
      if (result < 0 && write_failed(result)) return moved;
      if (result < 0) return lost();
      out_.closed = moved = true;
    }
    return moved;
  }

  bool write_failed(int result) {
    const int error = SSL_get_error(ssl_.get(), result);
    write_wants_ = error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
  }

  bool lost() {
    broken_ = true;
    return false;
  }

  void wait() {
    short net = static_cast<short>(write_wants_), near = 0;
    if (in_.empty() && !in_.ended) net = static_cast<short>(net | read_wants_);
    if (!in_.empty()) near |= POLLOUT;
    if (out_.empty() && !out_.ended) near |= POLLIN;
    pollfd p[2] = {{network_.get(), net, 0}, {local_.get(), near, 0}};
    if (::poll(p, 2, -1) < 0) return;
    // Its process has gone, and what it sent has been read: nobody is there to be told anything.
    if (out_.ended && (p[1].revents & (POLLHUP | POLLERR)) && out_.closed) broken_ = true;
    if ((p[0].revents & (POLLHUP | POLLERR)) && in_.ended && write_wants_ == 0) broken_ = true;
  }

  static void on_message(int is_write, int, int content_type, const void* bytes, size_t size, SSL*, void* self) {
    const auto* message = static_cast<const uint8_t*>(bytes);
    if (is_write || content_type != SSL3_RT_HANDSHAKE || size == 0 || message[0] != SSL3_MT_KEY_UPDATE) return;
    auto* pump = static_cast<Pump*>(self);
    if (++pump->key_updates_ > kFreeKeyUpdates + pump->received_ / kBytesPerKeyUpdate) pump->broken_ = true;
  }

  const PumpOptions options_;
  Fd network_, local_;
  SslPtr ssl_;
  Direction in_, out_;
  int read_wants_ = POLLIN, write_wants_ = 0;
  uint64_t sent_ = 0, received_ = 0, key_updates_ = 0;
  bool broken_ = false;
};

}  // namespace

void pump(SslPtr ssl, Fd network, Fd local, const PumpOptions& options) {
  Pump(std::move(ssl), std::move(network), std::move(local), options).run();
}

void detect_loss(int network, int seconds) {
  const int on = 1, idle = std::max(1, seconds / 2), interval = std::max(1, seconds / 6), count = 3;
  const unsigned timeout_ms = static_cast<unsigned>(seconds) * 1000;
  ::setsockopt(network, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(network, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  ::setsockopt(network, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  ::setsockopt(network, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  ::setsockopt(network, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
}

}  // namespace nm::identity
