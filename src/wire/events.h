// What passes over a session's second connection (Purpose::events) after the Welcome.
#pragma once

#include <cstdint>

namespace nm::wire {

// Server to client: run the function behind `token`. One at a time.
struct EventRequest {
  uint64_t token;
  int32_t status;  // CUresult, for cuStreamAddCallback
  uint32_t reserved;
};

// Client to server: it has returned.
struct EventDone {
  uint64_t token;
};

}  // namespace nm::wire
