// A connection that somebody else made, as it changes hands over a Unix socket: who is at the other end, and the
// descriptor. It is what a program hears from its courier (the descriptor is a connection to the server) and what the
// daemon hears from its gate (a client that has proved who it is). Handshakes and keys stay on the sender's side.
//
// Shared by the programs and by the client library, so: the standard library only, no exceptions.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "base/fd.h"

namespace nm::wire {

struct Handover {
  enum Kind : uint32_t {
    none = 0,       // there is no descriptor; `sentence` says why
    session = 1,    // a Hello is what comes next
    enrolment = 2,  // somebody who wants a certificate, or news (identity/enrolment.h)
  };
  std::array<char, 8> magic = {'n', 'm', 'h', 'a', 'n', 'd', 'e', 'r'};
  uint32_t kind = none;
  uint32_t reserved = 0;
  char peer[160] = {};  // the peer's name as its certificate has it, NUL-terminated; empty: it has shown none
  char from[64] = {};   // its address
  char sentence[1024] = {};
};
static_assert(sizeof(Handover) == 1264);

// What stands in one of its texts: up to the NUL, or all of it where there is none.
template <size_t N>
std::string_view text_in(const char (&field)[N]) {
  const std::string_view all(field, N);
  return all.substr(0, all.find('\0'));
}
// Cut where it is longer than the field.
template <size_t N>
void put_text(char (&field)[N], std::string_view text) {
  field[text.copy(field, N - 1)] = 0;
}

// `fd` negative: none goes with it. The descriptor stays the caller's. False: the other side has gone, or, on a socket
// that does not block, has no room.
bool send_handover(int socket, const Handover& handover, int fd);
// Waits so long. False: it did not come, or is none. A descriptor that comes without a kind, or a kind without a
// descriptor, is none either.
bool receive_handover(int socket, Millis timeout, Handover* out, Fd* fd);

}  // namespace nm::wire
