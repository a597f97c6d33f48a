// One encrypted connection as somebody has it who may wait: a member that calls a host. Every call has a deadline.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "identity/openssl.h"
#include "identity/tls.h"
#include "wire/address.h"

namespace nm::identity {

class TlsConnection {
 public:
  // Dials, shakes hands and checks the server's certificate. `pool` empty: not known yet (a newcomer).
  static Result<TlsConnection> open(SSL_CTX* context, const wire::Address& address, const std::string& pool,
                                    TimePoint deadline);

  // All of it. False: the connection ended or the time is over; failure() says why.
  bool send(std::string_view bytes, TimePoint deadline);
  bool receive(void* to, size_t size, TimePoint deadline);
  std::string failure();

  // Of a connection for a session: what the server says first. The error is its sentence.
  Result<void> await_admission(TimePoint deadline);
  // After it: the server's keys are in its kernel, and ours must not be changed.
  bool server_is_kernel() const { return server_is_kernel_; }

  SSL* ssl() const { return ssl_.get(); }
  int fd() const { return fd_.get(); }
  // For who pumps bytes or hands the descriptor on.
  SslPtr take_ssl() { return std::move(ssl_); }
  Fd take_fd() { return std::move(fd_); }

 private:
  TlsConnection(Fd fd, SslPtr ssl, std::string where)
      : fd_(std::move(fd)), ssl_(std::move(ssl)), where_(std::move(where)) {}
  // Waits as OpenSSL wants it. False: it failed, or the time is over.
  bool wait(int result, TimePoint deadline);

  Fd fd_;  // after ssl_ has gone: declared before it
  SslPtr ssl_;
  std::string where_;
  bool late_ = false, server_is_kernel_ = false;
};

}  // namespace nm::identity
