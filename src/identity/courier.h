// The courier: what a program that knows nothing of TLS has beside it. `nearmetal run` starts one; it lives as long as
// the program does. The client library asks it for a connection over a Unix socket that only this user can reach; it
// dials, shakes hands with this user's certificate, and hands over one end of a socket pair whose bytes it carries
// (wire/handover.h). So the key never is in the program, and the library stays a guest that needs nothing but libc.
#pragma once

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "identity/connection.h"
#include "identity/pool_dir.h"
#include "wire/address.h"

namespace nm::identity {

// One admitted connection to `server` with this user's certificate, which is renewed first where it is due. The error
// is a sentence for whoever started the program.
Result<TlsConnection> call_server(const PoolDir& dir, const wire::Address& server, Millis limit);

struct CourierOptions {
  PoolDir dir;
  wire::Address server;
  Fd listener;           // a Unix socket, listening
  Fd program;            // a pidfd of the program
  Fd life;               // a pipe that the program's descendants have, too: it ends with the last of them; may be empty
  Millis limit{10'000};  // for one connection
};

// Returns when program and life have ended and the last connection is over.
void run_courier(CourierOptions options);

}  // namespace nm::identity
