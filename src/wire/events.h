// What passes over a session's second connection (Purpose::events) after the Welcome.
//
// A host function may read what a graph has just copied to host memory, and write what a graph will copy from there.
// Where that memory is not shared, its bytes travel with the request and with the answer.
#pragma once

#include <cstdint>

namespace nm::wire {

// Server to client: run the function behind `token`. One at a time. `updates` times EventUpdate and its bytes follow:
// what graphs wrote to host memory of the client, to be put there first.
struct EventRequest {
  uint64_t token;
  int32_t status;  // CUresult, for cuStreamAddCallback
  uint32_t updates;
};

// Client to server: it has returned. `updates` times EventUpdate and its bytes follow: host memory of graphs that has
// changed.
struct EventDone {
  uint64_t token;
  uint32_t updates;
  uint32_t reserved;
};

struct EventUpdate {
  uint64_t slot;
  uint64_t version;  // of several updates of a slot in one direction the largest counts
  uint64_t size;     // bytes that follow; all of the slot
};

// More than any graph has slots: a larger count is refused.
inline constexpr uint32_t kMaxEventUpdates = 1u << 20;

}  // namespace nm::wire
