// Stream captures as the client's calls see them (client/capture_state.h has the bookkeeping). While none is open in
// this process all of this costs one load.
#pragma once

#include <cstdint>

#include "cuda_abi.h"

namespace nm::client {

// Captures begun and not ended. Zero: every question about captures is answered here.
int active_captures();

// True while `stream` is being captured; asks the server only about a stream that joined by an event.
CUresult is_captured(CUstream stream, bool* out);

// Of a call that is otherwise posted: whether the program has to hear its answer, because an open capture may forbid it
// or it may break a capture. `stream`: the one it is ordered in, kNoStream: none.
inline constexpr uint64_t kNoStream = ~uint64_t{0};
bool capture_wants_answer(uint16_t op, uint64_t stream);
// What a call was answered while captures were open.
void capture_was_answered(CUresult result);

// An event is about to be recorded in a stream by something other than cuEventRecord.
void note_event_record(CUevent event, CUstream stream);

// Captures that began there end.
void stream_destroyed(uint64_t handle);
void context_destroyed(uint64_t context);

}  // namespace nm::client
