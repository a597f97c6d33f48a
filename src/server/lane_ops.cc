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

constexpr size_t kPartsAhead = 4;                   // chunks that bytes from the client are expected in
constexpr size_t kFirst = 1 << 20;                  // a first piece that is small gets the lanes going early
constexpr uint64_t kThroughChunks = 16 * Staging::kChunk;
constexpr int64_t kLook = 1'000;                    // us

// The client's bytes. Replies to its other threads go on meanwhile.
bool wait_for(Session& s, const wire::Lanes::Expected& part) {
  while (!s.lanes().wait(part, kLook)) {
    if (s.lanes().ended() || !s.connection().flush()) return false;
  }
  return true;
}

// One piece of a transfer to the client, and the pinned memory that it passes through.
struct Piece {
  uint64_t at;
  size_t size;
  Staging::Chunk chunk;
};

struct Out {
  uint64_t transfer, sent = 0;
  size_t left = 1;          // pieces that the device has not written yet, and one until all are asked for
  void* whole = nullptr;    // the chunks are parts of it
  std::atomic<size_t> unsent_of_whole{1};
  CUresult result = CUDA_SUCCESS;
};

// Memory for all of it, in chunks if they are to be had at once, else in one buffer: who waited for a chunk would wait
// for copies that may be behind something that the program has yet to do.
CUresult take_pieces(Session& s, uint64_t size, std::vector<Piece>* out, void** whole) {
  RelaxedCapture relaxed(s.driver());
  s.lane_sends().collect(s.staging());
  for (uint64_t at = 0; at < size; at += out->back().size) {
    out->push_back({at, std::min<size_t>(size - at, at ? Staging::kChunk : kFirst), {}});
  }
  CUresult result = size > kThroughChunks ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
  size_t have = 0;
  for (; result == CUDA_SUCCESS && have < out->size(); have += result == CUDA_SUCCESS) {
    result = s.staging().take((*out)[have].size, s.context(), &(*out)[have].chunk);
  }
  if (result == CUDA_SUCCESS) return result;
  for (size_t i = 0; i < have; i++) s.staging().give_back((*out)[i].chunk);
  if (result != CUDA_ERROR_OUT_OF_MEMORY) return result;
  if (CUresult e = s.staging().take_whole(size, s.context(), whole)) return e;
  for (Piece& p : *out) p.chunk = {static_cast<uint8_t*>(*whole) + p.at, p.size, s.context()};
  return CUDA_SUCCESS;
}

// Has the device write [src, src + size) to pinned memory, in stream order, and the lanes send it as it comes. Every
// byte that the device was asked for is sent, right or wrong: the client counts them. `done` follows the last one; an error
// means that nothing was begun. `is_awaited`: a thread of the program does nothing else meanwhile.
CUresult start(Session& s, uint64_t transfer, CUdeviceptr src, uint64_t size, CUstream stream, bool is_awaited,
               std::function<void(CUresult)> done) {
  auto out = std::make_shared<Out>();
  out->transfer = transfer;
  std::vector<Piece> pieces;
  if (CUresult e = take_pieces(s, size, &pieces, &out->whole)) return e;
  if (out->whole) s.lane_sends().begin();
  const CUcontext context = s.context();
  auto finish = [&s, out, done] {
    if (--out->left) return;
    s.lanes().end_transfer(out->transfer, out->sent);
    done(out->result);
  };
  auto part_of_whole_is_sent = [&s, out] {
    if (--out->unsent_of_whole == 0) s.lane_sends().sent_whole(out->whole);
  };
  CUresult result = CUDA_SUCCESS;
  for (const Piece& piece : pieces) {
    auto is_there = [&s, out, piece, finish, part_of_whole_is_sent](CUresult r) {
      if (r != CUDA_SUCCESS && out->result == CUDA_SUCCESS) out->result = r;
      std::function<void()> sent = part_of_whole_is_sent;
      if (!out->whole) sent = [&s, chunk = piece.chunk] { s.lane_sends().sent(chunk); };
      s.lanes().send(out->transfer, piece.at, piece.chunk.data, piece.size, std::move(sent));
      finish();
    };
    if (result == CUDA_SUCCESS) result = s.driver().cuMemcpyDtoHAsync_v2(piece.chunk.data, src + piece.at, piece.size, stream);
    if (result == CUDA_SUCCESS) {
      if (is_awaited && &piece == &pieces.back() && !s.any_capture()) s.completions().when_idle(context, {stream}, is_there);
      else result = s.completions().after(context, stream, is_there);
    }
    if (result != CUDA_SUCCESS) {
      if (!out->whole) s.staging().give_back(piece.chunk);
      continue;
    }
    out->left++;
    if (out->whole) out->unsent_of_whole++;
    else s.lane_sends().begin();
    out->sent = piece.at + piece.size;
  }
  if (result != CUDA_SUCCESS && out->result == CUDA_SUCCESS) out->result = result;
  if (out->whole) part_of_whole_is_sent();
  finish();
  return CUDA_SUCCESS;
}

}  // namespace

bool drop_lane_bytes(Session& s, uint64_t transfer, uint64_t offset, uint64_t size) {
  return offset == size || (s.lanes().count() && wait_for(s, s.lanes().expect(transfer, offset, nullptr, size - offset, false)));
}

namespace hand {

CUresult nm_lane_in(Session& s, args::nm_lane_in& a, outs::nm_lane_in&) {
  if (!a.size || a.size > wire::kMaxBulk || !s.lanes().count()) return CUDA_ERROR_INVALID_VALUE;
  s.takes_transfer();
  struct Coming {
    Staging::Chunk chunk;
    wire::Lanes::Expected part;
    uint64_t at, size;
  };
  std::deque<Coming> coming;
  uint64_t expected = 0;
  CUresult result = CUDA_SUCCESS;
  const CUcontext context = s.context();
  while (result == CUDA_SUCCESS && (expected < a.size || !coming.empty())) {
    // More than one, so that the lanes go on while we are with the driver; more only if they are to be had at once.
    while (expected < a.size && coming.size() < kPartsAhead) {
      Coming next{{}, {}, expected, std::min<uint64_t>(a.size - expected, Staging::kChunk)};
      result = coming.empty() ? take_chunk(s, next.size, &next.chunk) : s.staging().take(next.size, context, &next.chunk);
      if (result != CUDA_SUCCESS) break;
      next.part = s.lanes().expect(a.transfer, next.at, next.chunk.data, next.size, false);
      expected += next.size;
      coming.push_back(std::move(next));
    }
    if (coming.empty()) break;
    result = CUDA_SUCCESS;
    Coming next = std::move(coming.front());
    coming.pop_front();
    if (!wait_for(s, next.part)) return CUDA_ERROR_UNKNOWN;  // the client is gone, and with it the session
    if (s.context() != context) result = s.enter(context);
    if (result == CUDA_SUCCESS) result = s.driver().cuMemcpyHtoDAsync_v2(a.dst + next.at, next.chunk.data, next.size, a.stream);
    if (result == CUDA_SUCCESS) {
      result = s.completions().after(context, a.stream, [&s, chunk = next.chunk, wire_context = s.record().context](CUresult r) {
        s.staging().give_back(chunk);
        if (r != CUDA_SUCCESS) s.keep_error(wire_context, r);
      });
    }
    if (result != CUDA_SUCCESS) s.staging().give_back(next.chunk);
  }
  // What goes wrong in the middle does not keep the rest from coming.
  for (auto& c : coming) {
    if (!wait_for(s, c.part)) return CUDA_ERROR_UNKNOWN;
    s.staging().give_back(c.chunk);
  }
  if (!drop_lane_bytes(s, a.transfer, expected, a.size)) return CUDA_ERROR_UNKNOWN;
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
  if (e == CUDA_SUCCESS) s.takes_transfer();
  else if (a.address) s.has_pushed();
  return e;
}

}  // namespace hand
}  // namespace nm::server
