// Two rings in memory that the client and its worker share, for clients on the worker's host.
//
// Bytes go through the rings; descriptors, and the news that the other side is gone, through the Unix socket over which
// the two have met. Whoever finds nothing to do says so in shared memory before it sleeps, and only then does the other
// side pay a system call to wake it. Neither side believes an index of the other's without checking it.
#pragma once

#include <memory>

#include "base/fd.h"
#include "wire/stream.h"

namespace nm::wire {

// What a client says on a session's connection after the Welcome, and what the worker answers with: how records and
// replies will travel. A ring is offered with its five descriptors; a worker that cannot take it answers `socket`.
enum class Transport : uint32_t { socket = 0, ring = 1 };
struct TransportOffer {
  Transport transport = Transport::socket;
  uint32_t to_server = 0, to_client = 0;  // bytes of either ring, powers of two
  uint32_t reserved = 0;
};
struct TransportAnswer {
  Transport transport = Transport::socket;
  uint32_t reserved = 0;
};

// The client's half of that exchange, and the stream it ends with; null: the connection broke, with errno set. `ring`:
// offer one, where the socket can carry descriptors.
std::unique_ptr<Stream> offer_transport(Fd socket, bool is_unix, bool ring);
// The worker's half.
std::unique_ptr<Stream> accept_transport(Fd socket, bool is_unix);

}  // namespace nm::wire
