#include "wire/ring_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <atomic>

#include "base/memory_file.h"

namespace nm::wire {
namespace {

// Some thousand launches: more than a program gets ahead of the driver natively, and little enough to stay in a cache.
constexpr uint32_t kToServer = 1 << 20, kToClient = 1 << 20;
constexpr uint32_t kSmallest = 64 << 10, kLargest = 256 << 20;
constexpr size_t kControl = 4096;  // before the first ring's bytes
constexpr timeval kPatience{5, 0}, kForever{0, 0};

// One direction. Positions count bytes since the beginning and never wrap; each has one writer.
struct Indices {
  alignas(64) std::atomic<uint64_t> head;  // written by who writes
  alignas(64) std::atomic<uint64_t> tail;  // written by who reads
  alignas(64) std::atomic<uint32_t> reader_sleeps;
  alignas(64) std::atomic<uint32_t> writer_sleeps;
};
struct Control {
  Indices to_server, to_client;
};
static_assert(sizeof(Control) <= kControl && std::atomic<uint64_t>::is_always_lock_free);

// In the order in which they are passed.
enum Descriptor { kMemory, kServerData, kServerRoom, kClientData, kClientRoom, kDescriptors };
using Descriptors = std::array<Fd, kDescriptors>;

class Mapping {
 public:
  Mapping() = default;
  Mapping(int fd, size_t size) : size_(size) {
    void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED) base_ = static_cast<uint8_t*>(at);
  }
  Mapping(Mapping&& other) noexcept : base_(std::exchange(other.base_, nullptr)), size_(other.size_) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Mapping() {
    if (base_) munmap(base_, size_);
  }
  uint8_t* base() const { return base_; }

 private:
  uint8_t* base_ = nullptr;
  size_t size_ = 0;
};

void ring_bell(int event) { eventfd_write(event, 1); }

// So much room is worth waking a writer that has found none.
constexpr uint64_t enough(uint64_t size) { return size / 2; }

class Outgoing {
 public:
  Outgoing(Indices& indices, uint8_t* bytes, uint32_t size, int data_bell)
      : indices_(indices), bytes_(bytes), size_(size), data_bell_(data_bell) {}

  // Bytes taken; -1: the other side's index is impossible. Once it was full it takes nothing until half of it is free:
  // who is far ahead would else be woken for every few records that are read, and write to lines that are being read.
  ssize_t write(std::span<const iovec> parts) {
    size_t wanted = 0;
    for (auto& p : parts) wanted += p.iov_len;
    if (was_full_ || size_ - (head_ - tail_) < wanted) {
      uint64_t seen = indices_.tail.load(std::memory_order_acquire);
      if (seen - tail_ > head_ - tail_) return -1;  // it went back, or beyond what there is to read
      tail_ = seen;
    }
    size_t room = size_ - (head_ - tail_), left = std::min(room, wanted), taken = left;
    if (was_full_ && room < enough(size_)) return 0;
    was_full_ = room < wanted;
    for (auto& p : parts) {
      size_t n = std::min(left, p.iov_len);
      put(p.iov_base, n);
      left -= n;
      if (!left) break;
    }
    if (!taken) return 0;
    indices_.head.store(head_, std::memory_order_release);
    // The other side announces its sleep and then looks once more; we do it the other way round.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (indices_.reader_sleeps.load(std::memory_order_relaxed) && indices_.reader_sleeps.exchange(0))
      ring_bell(data_bell_);
    return static_cast<ssize_t>(taken);
  }

  void announce_sleep() { indices_.writer_sleeps.store(1, std::memory_order_seq_cst); }
  void awake() { indices_.writer_sleeps.store(0, std::memory_order_relaxed); }
  bool has_room() const {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const uint64_t room = size_ - (head_ - indices_.tail.load(std::memory_order_acquire));
    return room >= (was_full_ ? enough(size_) : 1);
  }

 private:
  void put(const void* from, size_t n) {
    if (!n) return;
    size_t at = head_ & (size_ - 1), first = std::min<size_t>(n, size_ - at);
    memcpy(bytes_ + at, from, first);
    if (n > first) memcpy(bytes_, static_cast<const uint8_t*>(from) + first, n - first);
    head_ += n;
  }

  Indices& indices_;
  uint8_t* bytes_;
  const uint64_t size_;
  int data_bell_;
  uint64_t head_ = 0, tail_ = 0;  // our own position, and the other's as last seen
  bool was_full_ = false;
};

class Incoming {
 public:
  static constexpr size_t kLine = 64, kAhead = 16 * kLine;  // as many as a processor fetches at once

  Incoming(Indices& indices, const uint8_t* bytes, uint32_t size, int room_bell)
      : indices_(indices), bytes_(bytes), size_(size), room_bell_(room_bell) {}

  ssize_t read(void* to, size_t capacity) {
    uint64_t ready = indices_.head.load(std::memory_order_acquire) - tail_;
    if (ready == 0) return 0;
    if (ready > size_) return -1;
    size_t n = std::min<uint64_t>(ready, capacity);
    size_t at = tail_ & (size_ - 1), first = std::min<size_t>(n, size_ - at);
    memcpy(to, bytes_ + at, first);
    if (n > first) memcpy(static_cast<uint8_t*>(to) + first, bytes_, n - first);
    tail_ += n;
    // What comes next is in the writer's cache; it is here by the time that these bytes have been dealt with.
    const size_t next = std::min<uint64_t>(ready - n, kAhead);
    for (size_t i = 0; i < next; i += kLine) __builtin_prefetch(bytes_ + ((tail_ + i) & (size_ - 1)));
    indices_.tail.store(tail_, std::memory_order_release);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    // A writer that sleeps has written what it says it has. It gets to all of its room sooner or later: who reads,
    // reads until nothing is left.
    if (indices_.writer_sleeps.load(std::memory_order_acquire) &&
        size_ - (indices_.head.load(std::memory_order_relaxed) - tail_) >= enough(size_) &&
        indices_.writer_sleeps.exchange(0))
      ring_bell(room_bell_);
    return static_cast<ssize_t>(n);
  }

  void announce_sleep() { indices_.reader_sleeps.store(1, std::memory_order_seq_cst); }
  void awake() { indices_.reader_sleeps.store(0, std::memory_order_relaxed); }
  bool has_data() const {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return indices_.head.load(std::memory_order_acquire) != tail_;
  }

 private:
  Indices& indices_;
  const uint8_t* bytes_;
  const uint64_t size_;
  int room_bell_;
  uint64_t tail_ = 0;
};

class RingStream : public Stream {
 public:
  RingStream(Fd socket, Descriptors descriptors, Mapping memory, const TransportOffer& sizes, bool is_server)
      : socket_(socket_stream(Fd(dup_of(socket)), true)),
        raw_(std::move(socket)),
        descriptors_(std::move(descriptors)),
        memory_(std::move(memory)),
        control_(*reinterpret_cast<Control*>(memory_.base())),
        out_(is_server ? control_.to_client : control_.to_server,
             memory_.base() + kControl + (is_server ? sizes.to_server : 0),
             is_server ? sizes.to_client : sizes.to_server, descriptors_[is_server ? kClientData : kServerData].get()),
        in_(is_server ? control_.to_server : control_.to_client,
            memory_.base() + kControl + (is_server ? 0 : sizes.to_server),
            is_server ? sizes.to_server : sizes.to_client, descriptors_[is_server ? kServerRoom : kClientRoom].get()),
        data_(descriptors_[is_server ? kServerData : kClientData].get()),
        room_(descriptors_[is_server ? kClientRoom : kServerRoom].get()) {}

  ssize_t write(std::span<const iovec> parts, int fd) override {
    if (ended_.load(std::memory_order_acquire)) return end();
    // The descriptor is there before the record that speaks of it. Its socket holds a few hundred before it is full.
    if (fd >= 0) {
      if (!out_.has_room()) return 0;
      char mark = 0;
      iovec one{&mark, 1};
      if (ssize_t n = socket_->write({&one, 1}, fd); n <= 0) return n;
    }
    ssize_t n = out_.write(parts);
    return n < 0 ? end() : n;
  }

  ssize_t read(void* to, size_t capacity) override {
    bool ended = ended_.load(std::memory_order_acquire);
    ssize_t n = in_.read(to, capacity);
    return n < 0 || (n == 0 && ended) ? end() : n;
  }

  Fd take_fd() override {
    char marks[kMaxMarks];
    while (socket_->read(marks, sizeof marks) > 0) {
    }
    return socket_->take_fd();
  }

  void wait(unsigned what, int64_t microseconds) override {
    if (ended_.load(std::memory_order_acquire)) return;
    if (what & kReadable) in_.announce_sleep();
    if (what & kWritable) out_.announce_sleep();
    if (!((what & kReadable && in_.has_data()) || (what & kWritable && out_.has_room()))) {
      pollfd p[3] = {{raw_.get(), POLLRDHUP, 0},
                     {what & kReadable ? data_ : -1, POLLIN, 0},
                     {what & kWritable ? room_ : -1, POLLIN, 0}};
      timespec t{microseconds / 1'000'000, microseconds % 1'000'000 * 1000};
      if (ppoll(p, 3, microseconds < 0 ? nullptr : &t, nullptr) > 0) {
        eventfd_t count;
        if (p[1].revents) eventfd_read(data_, &count);
        if (p[2].revents) eventfd_read(room_, &count);
        if (p[0].revents) ended_.store(true, std::memory_order_release);
      }
    }
    if (what & kReadable) in_.awake();
    if (what & kWritable) out_.awake();
  }

  void shut() override { socket_->shut(); }
  bool writes_directly() const override { return true; }
  bool passes_fds() const override { return true; }

 private:
  static constexpr size_t kMaxMarks = 16;
  static int dup_of(const Fd& fd) { return fcntl(fd.get(), F_DUPFD_CLOEXEC, 0); }
  static ssize_t end() {
    errno = 0;
    return -1;
  }

  std::unique_ptr<Stream> socket_;
  Fd raw_;
  Descriptors descriptors_;
  Mapping memory_;
  Control& control_;
  Outgoing out_;
  Incoming in_;
  int data_, room_;
  std::atomic<bool> ended_{false};
};

uint64_t memory_size(const TransportOffer& o) { return kControl + uint64_t{o.to_server} + o.to_client; }

bool make_ring(TransportOffer* offer, Descriptors* out, Mapping* memory) {
  offer->transport = Transport::ring;
  offer->to_server = kToServer;
  offer->to_client = kToClient;
  Descriptors& d = *out;
  const auto size = static_cast<size_t>(memory_size(*offer));
  d[kMemory] = make_memory_file("nearmetal-ring", size, MFD_ALLOW_SEALING);
  for (int i = kServerData; i < kDescriptors; i++) d[i].reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  for (auto& fd : d) {
    if (!fd) return false;
  }
  // Nobody can cut it short under the other's feet.
  if (fcntl(d[kMemory].get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) return false;
  *memory = Mapping(d[kMemory].get(), size);
  return memory->base();
}

bool plausible(const TransportOffer& o) {
  auto fine = [](uint32_t n) { return n >= kSmallest && n <= kLargest && (n & (n - 1)) == 0; };
  return o.transport == Transport::ring && fine(o.to_server) && fine(o.to_client);
}

bool map_offered(const TransportOffer& offer, Descriptors& d, Mapping* memory) {
  if (!plausible(offer)) return false;
  for (auto& fd : d) {
    if (!fd) return false;
  }
  // A bell that blocks could stop us. F_GET_SEALS fails on what is no memfd.
  for (int i = kServerData; i < kDescriptors; i++) {
    if (fcntl(d[i].get(), F_SETFL, O_NONBLOCK)) return false;
  }
  int seals = fcntl(d[kMemory].get(), F_GET_SEALS);
  struct stat s;
  if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(d[kMemory].get(), &s) ||
      static_cast<uint64_t>(s.st_size) < memory_size(offer)) {
    return false;
  }
  *memory = Mapping(d[kMemory].get(), memory_size(offer));
  return memory->base();
}

bool send_offer(int socket, const TransportOffer& offer, const Descriptors* descriptors) {
  iovec iov{const_cast<TransportOffer*>(&offer), sizeof offer};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kDescriptors)] = {};
  if (descriptors) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * kDescriptors);
    for (int i = 0; i < kDescriptors; i++) {
      int fd = (*descriptors)[i].get();
      memcpy(CMSG_DATA(c) + i * sizeof fd, &fd, sizeof fd);
    }
  }
  ssize_t n;
  do n = sendmsg(socket, &message, MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  return n == sizeof offer;
}

bool receive_offer(int socket, TransportOffer* offer, Descriptors* descriptors) {
  size_t have = 0, count = 0;
  while (have < sizeof *offer) {
    iovec iov{reinterpret_cast<char*>(offer) + have, sizeof *offer - have};
    msghdr message{};
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kDescriptors)];
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
      for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
        Fd owned(fd);
        if (count < kDescriptors) (*descriptors)[count++] = std::move(owned);
      }
    }
    have += static_cast<size_t>(n);
  }
  return true;
}

}  // namespace

std::unique_ptr<Stream> offer_transport(Fd socket, bool is_unix, bool ring) {
  TransportOffer offer;
  Descriptors descriptors;
  Mapping memory;
  bool offered = is_unix && ring && make_ring(&offer, &descriptors, &memory);
  if (!offered) offer = {};
  TransportAnswer answer;
  if (!send_offer(socket.get(), offer, offered ? &descriptors : nullptr)) return nullptr;
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  ssize_t n;
  do n = recv(socket.get(), &answer, sizeof answer, MSG_WAITALL);
  while (n < 0 && errno == EINTR);
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kForever, sizeof kForever);
  if (n != sizeof answer || (answer.transport == Transport::ring && !offered)) {
    if (n >= 0) errno = EPROTO;
    return nullptr;
  }
  if (answer.transport != Transport::ring) return socket_stream(std::move(socket), is_unix);
  return std::make_unique<RingStream>(std::move(socket), std::move(descriptors), std::move(memory), offer, false);
}

std::unique_ptr<Stream> accept_transport(Fd socket, bool is_unix) {
  TransportOffer offer;
  Descriptors descriptors;
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  if (!receive_offer(socket.get(), &offer, &descriptors)) return nullptr;
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kForever, sizeof kForever);
  Mapping memory;
  TransportAnswer answer;
  if (is_unix && map_offered(offer, descriptors, &memory)) answer.transport = Transport::ring;
  if (send(socket.get(), &answer, sizeof answer, MSG_NOSIGNAL) != sizeof answer) return nullptr;
  if (answer.transport != Transport::ring) return socket_stream(std::move(socket), is_unix);
  return std::make_unique<RingStream>(std::move(socket), std::move(descriptors), std::move(memory), offer, true);
}

}  // namespace nm::wire
