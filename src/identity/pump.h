// Bytes between an encrypted connection and a local socket, until both directions have ended or either end is lost. It
// is how a connection gets to a process that knows nothing of TLS: to the worker on the server's side, to the program
// on the client's. One thread a connection; OpenSSL's object is that thread's alone.
#pragma once

#include <cstdint>

#include "base/fd.h"
#include "identity/openssl.h"

namespace nm::identity {

struct PumpOptions {
  // AES-GCM may encrypt some 2^24 full records under one key (RFC 8446, section 5.5), 380 GiB; a session may well carry
  // more. Long before that our side takes a new key.
  uint64_t rekey_after = uint64_t{64} << 30;
  static constexpr uint64_t kNever = ~uint64_t{0};
};

// The handshake is over, and OpenSSL has read nothing beyond what was asked of it. Returns when all is over.
void pump(SslPtr ssl, Fd network, Fd local, const PumpOptions& options = {});

// A peer that vanished without a word is noticed: in `seconds` or a little more where something is on its way to it,
// and where nothing is, too.
void detect_loss(int network, int seconds);

}  // namespace nm::identity
