// What follows the Hello and the Welcome: records to the server, replies to the client. Little-endian, 8-byte aligned.
#pragma once

#include <cstdint>

namespace nm::wire {

// Client to server. `size` counts this header and the body; `bulk` bytes follow the body and are not counted.
struct RecordHeader {
  uint32_t size;
  uint16_t op;         // id in api/cuda.toml or api/session.toml
  uint16_t fds;        // descriptors passed with this record (Unix sockets only)
  uint32_t sequence;   // 0: posted, no reply
  uint32_t thread;     // the calling thread, numbered by the client from 1
  uint64_t context;    // handle of the thread's current context, 0: none
  uint64_t bulk;
};
static_assert(sizeof(RecordHeader) == 32);

// Server to client. sequence 0 is a push: `result` then is a PushKind.
struct ReplyHeader {
  uint32_t size;      // header and body
  uint32_t sequence;
  int32_t result;     // CUresult of the call
  int32_t deferred;   // CUresult of an earlier posted record of the same context, 0: none
  uint16_t fds;
  uint16_t reserved[3];
  uint64_t bulk;
};
static_assert(sizeof(ReplyHeader) == 32);

enum class PushKind : int32_t {
  memory = 1,   // body: u64 address; bulk: bytes that the device wrote to host memory of the client
  output = 2,   // body: u64 descriptor (1 or 2); bulk: text that a kernel printed
  // Slots: host memory of the client in graphs (api/session.toml).
  graph_output = 3,  // body: u64 slot, u64 version; bulk: what a graph wrote there
  graph_done = 4,    // body: u64 executable graph: its oldest launch is over
  graph_gone = 5,    // body: u64 slot, u64 how often it was named: nothing uses it any more
  lane_memory = 6,   // body: u64 address, u64 transfer: as `memory`, but the bytes came or come over lanes
};

// A body larger than this is refused; what is larger travels as bulk.
inline constexpr uint32_t kMaxRecord = 1u << 20;
inline constexpr uint32_t kMaxReply = 16u << 20;
// No single bulk is larger: the largest device memory in sight, and some.
inline constexpr uint64_t kMaxBulk = 1ull << 40;
inline constexpr uint16_t kMaxFds = 8;

}  // namespace nm::wire
