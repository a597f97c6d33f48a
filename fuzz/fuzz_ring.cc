// A hostile client on the worker's own host: what it offers as a ring, and whatever it then does to the memory they
// share.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>

#include "shape.h"
#include "wire/ring_stream.h"

namespace {

using nm::Fd;
using nm::fuzz::Input;
using nm::wire::Stream;

constexpr uint32_t kRing = 64 << 10;
constexpr size_t kControl = 4096, kSize = kControl + 2 * kRing;
// Where the ring keeps its numbers: of what goes to the server, then of what comes from it.
constexpr size_t kDirection = 256, kHead = 0, kTail = 64, kReaderSleeps = 128, kWriterSleeps = 192;

void require(bool x) {
  if (!x) __builtin_trap();
}

// The memory and its bells, made once: every input finds them as they were.
class World {
 public:
  World() {
    memory_.reset(memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    require(ftruncate(memory_.get(), kSize) == 0 && fcntl(memory_.get(), F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    void* at = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0);
    require(at != MAP_FAILED);
    base_ = static_cast<uint8_t*>(at);
    for (auto& bell : bells_) bell.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  }
  void reset() {
    std::memcpy(to_server(), sent_.get(), kRing);
    lseek(memory_.get(), 0, SEEK_SET);
    std::memset(base_, 0, kDirection * 2);
    std::memset(base_ + kDirection * 2, kCanary, kControl - kDirection * 2);
    eventfd_t count;
    for (auto& bell : bells_) eventfd_read(bell.get(), &count);
  }
  // The server writes its two numbers, the sleepers' and what it sends, and nothing else.
  void check() const {
    const uint8_t* rest = base_ + kDirection * 2;
    require(*rest == kCanary && std::memcmp(rest, rest + 1, kControl - kDirection * 2 - 1) == 0);
    require(std::memcmp(to_server(), sent_.get(), kRing) == 0);
  }
  void put(size_t at, uint8_t byte) { to_server()[at % kRing] = sent_[at % kRing] = byte; }
  // True if these are the bytes at that position.
  bool sent(uint64_t at, const uint8_t* bytes, size_t size) const {
    const size_t from = at % kRing, first = std::min(size, kRing - from);
    return !std::memcmp(bytes, &sent_[from], first) && !std::memcmp(bytes + first, sent_.get(), size - first);
  }
  void store(size_t direction, size_t what, uint64_t value) {
    auto* at = base_ + direction * kDirection + what;
    if (what >= kReaderSleeps)
      reinterpret_cast<std::atomic<uint32_t>*>(at)->store(static_cast<uint32_t>(value));
    else
      reinterpret_cast<std::atomic<uint64_t>*>(at)->store(value);
  }
  uint64_t load(size_t direction, size_t what) const {
    return reinterpret_cast<std::atomic<uint64_t>*>(base_ + direction * kDirection + what)->load();
  }
  int fd(size_t i) const { return i % 5 ? bells_[i % 5 - 1].get() : memory_.get(); }

 private:
  static constexpr uint8_t kCanary = 0xc5;
  uint8_t* to_server() const { return base_ + kControl; }
  Fd memory_, bells_[4];
  uint8_t* base_;
  std::unique_ptr<uint8_t[]> sent_{new uint8_t[kRing]{}};
};

bool send_offer(int socket, const nm::wire::TransportOffer& offer, const int* fds, size_t count) {
  iovec iov{const_cast<nm::wire::TransportOffer*>(&offer), sizeof offer};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 8)] = {};
  if (count) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * count);
    std::memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL) == sizeof offer;
}

// What the client makes of a number of its own: a little on from where the server is, or anything.
uint64_t index(Input& in, uint64_t now) {
  const auto how = in.take<uint8_t>();
  if (how < 128) return now + in.take<uint16_t>();
  if (how < 160) return now + kRing + (how & 1);
  if (how < 192) return now - 1 - in.take<uint8_t>();
  return in.take<uint64_t>();
}

// The server's side, one act at a time, with the client's hand in between. `whole`: nobody writes to the memory but
// through it.
void serve(Stream& server, World& world, int client, bool whole, Input& in) {
  constexpr size_t kMostActs = 256;
  enum Act : uint8_t { kSent, kTaken, kSleeps, kBytes, kRead, kWrite, kWait, kPass, kAnything, kEnd, kActs };
  uint64_t taken = 0, given = 0;  // the server's own positions, which the memory need not agree with
  for (size_t acts = 0; in.left() && acts < kMostActs; acts++) {
    switch (in.take<uint8_t>() % kActs) {
      case kSent:
        world.store(0, kHead, index(in, taken));
        break;
      case kTaken:
        world.store(1, kTail, index(in, world.load(1, kTail)));
        break;
      case kSleeps:
        world.store(in.take<uint8_t>() & 1, in.take<uint8_t>() & 1 ? kReaderSleeps : kWriterSleeps, in.take<uint8_t>());
        break;
      case kBytes:
        for (size_t at = in.take<uint16_t>(), n = in.take<uint8_t>(); n > 0; n--) world.put(at++, in.take<uint8_t>());
        break;
      case kRead: {
        const size_t capacity = 1 + in.take<uint16_t>();
        std::unique_ptr<uint8_t[]> to(new uint8_t[capacity]);
        const ssize_t n = server.read(to.get(), capacity);
        require(n <= static_cast<ssize_t>(capacity));
        if (n > 0 && whole) require(world.sent(taken, to.get(), static_cast<size_t>(n)));
        if (n > 0) taken += static_cast<uint64_t>(n);
        break;
      }
      case kWrite: {
        const size_t first = in.take<uint16_t>(), second = in.take<uint8_t>();
        std::unique_ptr<uint8_t[]> from(new uint8_t[first + second]{});
        const iovec parts[] = {{from.get(), first}, {from.get() + first, second}};
        const ssize_t n = server.write(parts, in.take<uint8_t>() % 8 ? -1 : world.fd(1));
        require(n <= static_cast<ssize_t>(first + second));
        if (n > 0) given += static_cast<uint64_t>(n);
        if (n > 0 && whole) require(world.load(1, kHead) == given);
        break;
      }
      case kWait:
        server.wait(1 + in.take<uint8_t>() % 3, in.take<uint8_t>() % 32);
        break;
      case kPass: {
        // Descriptors come with a byte, or a byte comes without one.
        const uint8_t mark = in.take<uint8_t>();
        const int fd = world.fd(mark);
        iovec iov{const_cast<uint8_t*>(&mark), 1};
        if (mark & 1) {
          auto pipe = nm::wire::socket_stream(Fd(fcntl(client, F_DUPFD_CLOEXEC, 0)), true);
          pipe->write({&iov, 1}, fd);
        } else {
          send(client, &mark, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        }
        if (mark & 2) server.take_fd();
        break;
      }
      case kAnything: {
        const auto at = in.take<uint16_t>();
        world.store(at & 1, at & 2 ? kHead : kTail, in.take<uint64_t>());
        break;
      }
      case kEnd:
        shutdown(client, SHUT_RDWR);
        server.wait(Stream::kReadable, -1);  // whatever the numbers say, an end wakes
        break;
    }
  }
}

}  // namespace

// Input: u8 what is offered, then nm::fuzz acts of both sides.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World world;
  if (size > 16 << 10) return 0;
  Input in(data, size);
  world.reset();
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) return 0;
  Fd client(ends[0]);
  nm::wire::TransportOffer offer{nm::wire::Transport::ring, kRing, kRing, 0};
  int fds[8] = {world.fd(0), world.fd(1), world.fd(2), world.fd(3), world.fd(4), -1, -1, -1};
  size_t count = 5;
  const auto how = in.take<uint8_t>();
  bool whole = true;
  if (how % 16 == 15) in.copy(&offer, sizeof offer);
  if (how % 16 == 14) {
    whole = false;  // the memory may be one of its own bells
    count = in.take<uint8_t>() % 9;
    for (int& fd : fds) fd = world.fd(in.take<uint8_t>());
  }
  if (!send_offer(client.get(), offer, fds, count)) return 0;
  auto server = nm::wire::accept_transport(Fd(ends[1]), true);
  if (server) {
    nm::wire::TransportAnswer answer;
    require(recv(client.get(), &answer, sizeof answer, MSG_DONTWAIT) == sizeof answer);
    if (answer.transport == nm::wire::Transport::ring) serve(*server, world, client.get(), whole, in);
    server.reset();
  }
  if (whole) world.check();
  return 0;
}
