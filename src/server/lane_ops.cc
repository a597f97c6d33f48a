// Copies whose bytes travel beside the channel (wire/lanes.h): the lanes' threads move them between the sockets and
// pinned memory, this thread has the device move them between that and its own.
#include "server/lane_ops.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "server/copy_ops.h"
#include "server/graph_slots.h"
#include "server/session.h"
#include "server/sync_ops.h"
#include "server_args.h"

namespace nm::server {
namespace {

constexpr size_t kSmallPiece = 256 << 10;  // first pieces that are small get the lanes going early
constexpr uint64_t kThroughChunks = 16 * Staging::kChunk;
constexpr int kLooks = 100;   // for bytes of the client, before the thread naps between looks
constexpr int64_t kNap = 50;  // us

// The next bytes of a transfer from the client. Copies that finish meanwhile make room for more, and replies to its
// other threads go on. False: none can come, or more than there is room for.
bool wait_for(Session& s, uint64_t transfer, uint64_t at, uint64_t size, wire::Lanes::Arrived* piece) {
  for (int looks = 0; !s.lanes().take(transfer, at, looks < kLooks ? 0 : kNap, piece); looks++) {
    {
      RelaxedCapture relaxed(s.driver());  // what we ask about is ours
      s.completions().progress();
    }
    if (s.lanes().ended() || !s.lanes().count() || !s.connection().flush()) return false;
  }
  if (piece->size <= size - at) return true;
  s.lanes().end();
  return false;
}

// Pinned memory on its way to the client: a chunk, or one buffer for all.
struct Memory {
  Staging::Chunk chunk;
  bool is_whole = false;
  std::atomic<size_t> unsent{1};  // pieces, and one until all are asked for
};

// What the device writes and the lanes send at once.
struct Piece {
  uint64_t at;
  uint8_t* data;
  size_t size;
  std::shared_ptr<Memory> memory;
};

struct Out {
  uint64_t transfer, sent = 0;
  size_t left = 1;  // pieces that the device has not written yet, and one until all are asked for
  CUresult result = CUDA_SUCCESS;
};

void is_sent(Session& s, Memory& memory) {
  if (--memory.unsent) return;
  if (memory.is_whole)
    s.lane_memory().sent_whole(memory.chunk.data);
  else
    s.lane_memory().sent(memory.chunk);
}

// Memory for all of it, in chunks if they are to be had at once, else in one buffer: who waited for a chunk would wait
// for copies that may be behind something that the program has yet to do.
CUresult take_memory(Session& s, uint64_t size, std::vector<std::shared_ptr<Memory>>* out) {
  RelaxedCapture relaxed(s.driver());
  s.lane_memory().collect(s.staging());
  CUresult result = size > kThroughChunks ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
  for (uint64_t at = 0; at < size && result == CUDA_SUCCESS; at += Staging::kChunk) {
    auto memory = std::make_shared<Memory>();
    result = s.staging().take(Staging::kChunk, s.context(), &memory->chunk);
    if (result == CUDA_SUCCESS) out->push_back(std::move(memory));
  }
  if (result != CUDA_SUCCESS) {
    for (auto& memory : *out) s.staging().give_back(memory->chunk);
    out->clear();
    if (result != CUDA_ERROR_OUT_OF_MEMORY) return result;
    void* whole;
    if (CUresult e = s.staging().take_whole(size, s.context(), &whole)) return e;
    out->push_back(std::make_shared<Memory>());
    out->back()->chunk = {static_cast<uint8_t*>(whole), size, s.context()};
    out->back()->is_whole = true;
  }
  for (size_t i = 0; i < out->size(); i++) s.lane_memory().begin();
  return CUDA_SUCCESS;
}

// Each piece costs the device's queue a copy and an event. Where nobody waits, other copies keep the lanes busy.
std::vector<Piece> pieces_of(const std::vector<std::shared_ptr<Memory>>& memory, uint64_t size, bool is_awaited) {
  std::vector<Piece> out;
  uint64_t at = 0;
  for (auto& m : memory) {
    for (size_t in = 0; in < m->chunk.size && at < size;) {
      const size_t most = is_awaited && at < 4 * kSmallPiece ? kSmallPiece : Staging::kChunk;
      const size_t n = std::min<uint64_t>({size - at, m->chunk.size - in, most});
      out.push_back({at, m->chunk.data + in, n, m});
      m->unsent++;
      in += n;
      at += n;
    }
  }
  return out;
}

// Has the device write [src, src + size) to pinned memory, in stream order, and the lanes send it as it comes. Every
// byte that the device was asked for is sent, right or wrong: the client counts them. `done` follows the last one; an
// error means that nothing was begun. `is_awaited`: a thread of the program does nothing else meanwhile.
CUresult start(Session& s, uint64_t transfer, CUdeviceptr src, uint64_t size, CUstream stream, bool is_awaited,
               std::function<void(CUresult)> done) {
  auto out = std::make_shared<Out>();
  out->transfer = transfer;
  std::vector<std::shared_ptr<Memory>> memory;
  if (CUresult e = take_memory(s, size, &memory)) return e;
  const CUcontext context = s.context();
  auto finish = [&s, out, done] {
    if (--out->left) return;
    s.lanes().end_transfer(out->transfer, out->sent);
    done(out->result);
  };
  CUresult result = CUDA_SUCCESS;
  for (const auto pieces = pieces_of(memory, size, is_awaited); const Piece& piece : pieces) {
    auto is_there = [&s, out, piece, finish](CUresult r) {
      if (r != CUDA_SUCCESS && out->result == CUDA_SUCCESS) out->result = r;
      s.lanes().send(out->transfer, piece.at, piece.data, piece.size,
                     [&s, memory = piece.memory] { is_sent(s, *memory); });
      finish();
    };
    if (result == CUDA_SUCCESS)
      result = s.driver().cuMemcpyDtoHAsync_v2(piece.data, src + piece.at, piece.size, stream);
    if (result == CUDA_SUCCESS) {
      if (is_awaited && &piece == &pieces.back() && !s.any_capture())
        s.completions().when_idle(context, {stream}, is_there);
      else
        result = s.completions().after(context, stream, is_there);
    }
    if (result != CUDA_SUCCESS) {
      is_sent(s, *piece.memory);
      continue;
    }
    out->left++;
    out->sent = piece.at + piece.size;
  }
  if (result != CUDA_SUCCESS && out->result == CUDA_SUCCESS) out->result = result;
  for (auto& m : memory) is_sent(s, *m);
  finish();
  return CUDA_SUCCESS;
}

}  // namespace

bool drop_lane_bytes(Session& s, uint64_t transfer, uint64_t at, uint64_t size) {
  for (wire::Lanes::Arrived piece; at < size; at += piece.size) {
    if (!wait_for(s, transfer, at, size, &piece)) return false;
    s.lanes().give_back(piece);
  }
  return true;
}

namespace hand {

CUresult nm_lane_in(Session& s, args::nm_lane_in& a, outs::nm_lane_in&) {
  if (!a.size || a.size > wire::kMaxBulk) return CUDA_ERROR_INVALID_VALUE;
  s.takes_transfer();
  const CUcontext context = s.context();
  CUresult result = CUDA_SUCCESS;
  wire::Lanes::Arrived piece;
  for (uint64_t at = 0; at < a.size; at += piece.size) {
    if (!wait_for(s, a.transfer, at, a.size, &piece)) return CUDA_ERROR_UNKNOWN;  // and so is the session
    if (result == CUDA_SUCCESS && s.context() != context) result = s.enter(context);
    if (result == CUDA_SUCCESS) {
      s.lane_memory().pin(s.driver(), s.lanes(), piece.lane, context);
      result = s.driver().cuMemcpyHtoDAsync_v2(a.dst + at, piece.data, piece.size, a.stream);
    }
    if (result == CUDA_SUCCESS) {
      result = s.completions().after(context, a.stream, [&s, piece, wire_context = s.record().context](CUresult r) {
        s.lanes().give_back(piece);
        if (r != CUDA_SUCCESS) s.keep_error(wire_context, r);
      });
    }
    // What goes wrong in the middle does not keep the rest from coming.
    if (result != CUDA_SUCCESS) s.lanes().give_back(piece);
  }
  return result;
}

CUresult nm_lane_out(Session& s, args::nm_lane_out& a, outs::nm_lane_out&) {
  if (!a.size || a.size > wire::kMaxBulk || !s.lanes().count()) return CUDA_ERROR_INVALID_VALUE;
  auto later = s.later();
  CUresult e = start(s, a.transfer, a.src, a.size, a.stream, true,
                     [&s, later, context = s.context(), stream = a.stream](CUresult r) {
                       s.reply(later, synchronise_idle(s, context, stream, r));
                     });
  if (e != CUDA_SUCCESS) return e;
  s.takes_transfer();
  return kDeferred;
}

CUresult nm_lane_push(Session& s, args::nm_lane_push& a, outs::nm_lane_push&) {
  if (!a.size || a.size > wire::kMaxBulk || !s.lanes().count()) return CUDA_ERROR_INVALID_VALUE;
  // The client knows its own memory; the mirror here only bounds the size.
  if (a.address && !s.host_ranges().find(a.address, a.size)) return CUDA_ERROR_INVALID_VALUE;
  if (a.address) s.expect_push();
  CUresult e = start(s, a.transfer, a.src, a.size, a.stream, false,
                     [&s, address = a.address, transfer = a.transfer, context = s.record().context](CUresult r) {
                       if (r != CUDA_SUCCESS) s.keep_error(context, r);
                       if (!address) return;
                       s.has_pushed();
                       s.push(wire::PushKind::lane_memory, {address, transfer}, {}, {});
                     });
  if (e == CUDA_SUCCESS)
    s.takes_transfer();
  else if (a.address)
    s.has_pushed();
  return e;
}

}  // namespace hand
}  // namespace nm::server
