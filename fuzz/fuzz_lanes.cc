// A lane whose other end is hostile: pieces and ends of transfers that are expected, of others, and of none.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <vector>

#include "wire/lanes.h"

namespace {

constexpr size_t kRoom = 4096, kGuard = 64;

// Headers that are likely to mean something: the input's bytes choose among transfers, offsets and sizes near the
// limits.
std::vector<uint8_t> hostile_bytes(const uint8_t* data, size_t size) {
  std::vector<uint8_t> out;
  for (size_t at = 0; at + 8 <= size; at += 8) {
    nm::wire::LaneHeader h;
    h.transfer = data[at] % 4;
    h.offset = static_cast<uint64_t>(data[at + 1] | data[at + 2] << 8);
    h.size = static_cast<uint32_t>(data[at + 3] | data[at + 4] << 8);
    if (data[at + 5] & 1) h.offset = ~h.offset;
    if (data[at + 5] & 2) h.size |= 1u << 20;
    if (data[at + 5] & 4) h.size = 0;
    const size_t follow = data[at + 5] & 8 ? data[at + 6] : h.size % (2 * kRoom);
    const auto* p = reinterpret_cast<const uint8_t*>(&h);
    out.insert(out.end(), p, p + sizeof h);
    out.insert(out.end(), follow, data[at + 7]);
  }
  return out;
}

}  // namespace

// As a server receives.
void into_buffers(const std::vector<uint8_t>& bytes) {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) return;
  nm::Fd peer(fds[1]);
  nm::wire::Lanes lanes(nm::wire::Landing::buffers);
  if (!lanes.add(nm::Fd(fds[0]))) abort();
  send(peer.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  shutdown(peer.get(), SHUT_WR);
  nm::wire::Lanes::Arrived piece;
  for (uint64_t at = 0; lanes.take(1, at, 200, &piece); at += piece.size) {
    if (piece.size == 0 || piece.size > nm::wire::kMaxPiece) abort();
    lanes.give_back(piece);
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4 || size > 256) return 0;
  const std::vector<uint8_t> bytes = hostile_bytes(data + 4, size - 4);
  if (data[3] & 1) return into_buffers(bytes), 0;
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) return 0;
  nm::Fd peer(fds[1]);
  const int room = 4 << 20;
  setsockopt(peer.get(), SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  std::vector<char> memory(2 * (kRoom + kGuard), 'g');
  {
    nm::wire::Lanes lanes;
    auto first = lanes.expect(1, data[0], memory.data(), kRoom, data[1] & 1);
    auto second = lanes.expect(2, 0, memory.data() + kRoom + kGuard, kRoom, data[1] & 2);
    auto dropped = lanes.expect(3, 0, nullptr, size_t{data[2]} << 4, data[1] & 4);
    if (!lanes.add(nm::Fd(fds[0]))) abort();
    send(peer.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(peer.get(), SHUT_WR);
    // Until it ends, or waits for a transfer that nobody knows.
    for (auto& part : {first, second, dropped}) lanes.wait(part, 200);
    lanes.end();
    for (auto& part : {first, second, dropped}) lanes.wait(part, -1);
    for (size_t at : {kRoom, 2 * kRoom + kGuard}) {
      for (size_t i = 0; i < kGuard; i++) {
        if (memory[at + i] != 'g') abort();  // bytes outside what was expected
      }
    }
  }
  return 0;
}
