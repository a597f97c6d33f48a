// Where a server is: "unix:/run/nearmetal.sock", "tcp:127.0.0.1:4000", "tcp:[::1]:4000", "tls:gpu-host:7811".
//
// Off loopback a connection is always encrypted and both ends prove who they are (src/identity): "tcp:" to any other
// host is read as "tls:". On loopback "tcp:" is plain, for tunnels and for tests, and "tls:" is to be had by asking for
// it. Shared by the programs and by the client library, so: the standard library only, no exceptions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"

namespace nm::wire {

struct Address {
  enum class Kind { unix_socket, tcp };
  Kind kind = Kind::unix_socket;
  std::string path;   // unix_socket: absolute, at most 107 bytes
  std::string host;   // tcp: a name or a literal, without brackets
  uint16_t port = 0;  // tcp: 1 to 65535
  bool tls = false;   // tcp: encrypted; always so off loopback

  std::string text() const;  // parses back to an equal Address
  bool operator==(const Address&) const = default;
};

// The error is one sentence that quotes `text` and shows a valid form.
Result<Address> parse_address(std::string_view text);

// 127.0.0.0/8 and ::1 as literals, and the name localhost. Unix sockets are always local.
bool is_loopback(const Address& address);

// Where a server listens and a client looks when nobody says otherwise: /run/nearmetal/nearmetal.sock for root,
// $XDG_RUNTIME_DIR/nearmetal.sock for others (/tmp/nearmetal-UID/nearmetal.sock where that is unset).
Address default_address();

// A connected, blocking socket with close-on-exec; tcp without Nagle's delay. The error is one sentence that names the
// address, the reason and the next step. Waits at most `timeout`.
//
// What is encrypted is brought by this program's courier (identity/courier.h): it makes the connection, proves who we
// are and hands over a socket. So whoever dials needs to know nothing of TLS.
Result<Fd> dial(const Address& address, Millis timeout);

// The bare TCP connection, for those who bring the encryption themselves.
Result<Fd> dial_tcp(const Address& address, Millis timeout);

}  // namespace nm::wire
