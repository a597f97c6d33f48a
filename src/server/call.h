// How a handler ends.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda_abi.h"
#include "wire/codec.h"

namespace nm::server {

class Session;

enum class Outcome {
  done,            // the result and what was written are the reply
  deferred,        // the reply comes when the device is done
  protocol_error,  // the client sent nonsense: its session ends
};

// Returned by a hand-written handler that has arranged for a later reply.
inline constexpr CUresult kDeferred = static_cast<CUresult>(-1);

inline constexpr uint64_t kMaxElements = 1 << 20;  // of any array that a client asks for

struct Operation {
  Outcome (*handle)(Session&, wire::Reader in, wire::Writer& out, CUresult* result) = nullptr;
  bool needs_reply = false;  // false: it may be posted
};
extern const Operation kOperations[];
extern const size_t kOperationCount;

// Null: no such operation.
inline const Operation* operation_of(uint16_t op) {
  return op < kOperationCount && kOperations[op].handle ? &kOperations[op] : nullptr;
}

}  // namespace nm::server
