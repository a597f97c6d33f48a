// The keys of a finished TLS 1.3 connection, given to the kernel: from then on what is written to its socket leaves
// encrypted and what is read from it is plain, and any process that gets the descriptor may use it as a TCP socket.
// OpenSSL 3.0 does this for sending only, so the keys are derived here, from the traffic secrets that it tells
// (RFC 8446, section 7.3).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "identity/openssl.h"

namespace nm::identity {

// Whether this host's kernel can: tried once, with bytes through a connection of its own. NEARMETAL_KERNEL_TLS=0 says
// no.
bool kernel_has_tls();

// Connections of `context` will remember their secrets for give_to_kernel(). Does nothing where the kernel cannot.
void remember_secrets(SSL_CTX* context);

// How many records each side has sent under the application's keys.
struct RecordCounts {
  uint64_t sent = 0, received = 0;
};
// From here on `ssl` must not be used but to be freed. OpenSSL must have read nothing beyond the last record that was
// asked for, which is so as long as read-ahead is off. False: the connection is of no use any more.
bool give_to_kernel(SSL* ssl, int fd, const RecordCounts& counts);

// A record key and its nonce: `secret` as OpenSSL tells it, of 32 bytes for AES-128 and 48 for AES-256.
struct RecordKey {
  std::string key, iv;
};
RecordKey record_key(std::string_view secret);

}  // namespace nm::identity
