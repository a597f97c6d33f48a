#include "identity/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>

namespace nm::identity {
namespace {

bool wait_for(int fd, short events, TimePoint deadline) {
  for (;;) {
    pollfd poll = {.fd = fd, .events = events, .revents = 0};
    const int ready = ::poll(&poll, 1, static_cast<int>(time_left(deadline).count()));
    if (ready >= 0 || errno != EINTR) return ready > 0;
  }
}

}  // namespace

Result<TlsConnection> TlsConnection::open(SSL_CTX* context, const wire::Address& address, const std::string& pool,
                                          TimePoint deadline) {
  auto fd = wire::dial_tcp(address, time_left(deadline));
  if (!fd) return fd.error();
  ::fcntl(fd->get(), F_SETFL, ::fcntl(fd->get(), F_GETFL) | O_NONBLOCK);
  SslPtr ssl(SSL_new(context));
  if (!ssl || SSL_set_fd(ssl.get(), fd->get()) != 1) return Error{"There is no memory for a connection."};
  TlsConnection made(std::move(*fd), std::move(ssl), "the nearmetal server at " + address.text());
  SSL_set_connect_state(made.ssl());
  for (int result = 0; (result = SSL_do_handshake(made.ssl())) != 1;) {
    if (made.wait(result, deadline)) continue;
    return Error{fmt::format("No encrypted connection with {}: {}.", made.where_, made.failure())};
  }
  if (pool.empty()) return made;
  if (const auto peer = peer_of(made.ssl(), pool); !peer) {
    return Error{fmt::format("{} proves no host of this pool. {}", address.text(), peer.error().message)};
  }
  return made;
}

bool TlsConnection::wait(int result, TimePoint deadline) {
  const int error = SSL_get_error(ssl(), result);
  if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return false;
  late_ = !wait_for(fd(), error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline);
  return !late_;
}

bool TlsConnection::send(std::string_view bytes, TimePoint deadline) {
  while (!bytes.empty()) {
    ERR_clear_error();
    errno = 0;
    size_t sent = 0;
    const int result = SSL_write_ex(ssl(), bytes.data(), bytes.size(), &sent);
    if (result == 1) {
      bytes.remove_prefix(sent);
    } else if (!wait(result, deadline)) {
      return false;
    }
  }
  return true;
}

bool TlsConnection::receive(void* to, size_t size, TimePoint deadline) {
  auto* at = static_cast<char*>(to);
  while (size > 0) {
    ERR_clear_error();
    errno = 0;
    size_t got = 0;
    const int result = SSL_read_ex(ssl(), at, size, &got);
    if (result == 1) {
      at += got;
      size -= got;
    } else if (!wait(result, deadline)) {
      return false;
    }
  }
  return true;
}

std::string TlsConnection::failure() {
  if (late_) return "it did not answer in time. Check the host, the port and the way between";
  return handshake_failure(ssl(), true);
}

Result<void> TlsConnection::await_admission(TimePoint deadline) {
  Admission admission;
  const auto failed = [this] { return Error{fmt::format("Refused by {}: {}.", where_, failure())}; };
  if (!receive(&admission, sizeof admission, deadline)) return failed();
  if (memcmp(admission.magic, Admission{}.magic, sizeof admission.magic) != 0 || admission.size > kMaxSentence) {
    return Error{fmt::format("What answers at {} is not a nearmetal server of this release.", where_)};
  }
  std::string sentence(admission.size, '\0');
  if (!receive(sentence.data(), sentence.size(), deadline)) return failed();
  server_is_kernel_ = admission.admitted == Admission::kAdmittedByKernel;
  if (server_is_kernel_ || admission.admitted == Admission::kAdmitted) return {};
  for (char& c : sentence) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';  // it goes to a terminal
  }
  return Error{fmt::format("Refused by {}: {}", where_, sentence)};
}

}  // namespace nm::identity
