// The one ordered connection of a process to its worker.
//
// Posting writes to memory that the worker reads, or, over a socket, appends to a buffer that a flusher thread sends: a
// stream of launches costs the program no system call. A call sends at once and waits. Whoever waits also reads: one
// waiting thread at a time holds the reader's role and delivers the others' replies.
//
// Locks, outermost first: send_mutex_, out_mutex_. in_mutex_ stands alone.
#pragma once

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "wire/address.h"
#include "wire/hello.h"
#include "wire/record.h"
#include "wire/stream.h"

namespace nm::client {

// A reply on its way to the thread that waits for it.
struct Pending {
  uint32_t sequence = 0;
  void* bulk = nullptr;    // where the reply's bulk goes
  uint64_t bulk_size = 0;  // exactly this much is expected
  uint64_t place = 0;      // of the record among all that were sent, counted from 1
  bool done = false;
  int32_t result = 0, deferred = 0;
  std::vector<uint8_t> body;
  std::vector<Fd> fds;
};

// Sums since the connection was made; read for NEARMETAL_STATS.
struct Counters {
  std::atomic<uint64_t> posted{0}, waited{0}, bytes_out{0}, bytes_in{0};
};

class Channel {
 public:
  // A push from the server: returns false if it makes no sense, which ends the connection. `read` fetches bulk bytes.
  using PushHandler = std::function<bool(wire::PushKind, std::span<const uint8_t> body, uint64_t bulk,
                                         const std::function<bool(void*, uint64_t)>& read)>;

  static Result<std::unique_ptr<Channel>> connect(const wire::Address& address, wire::Purpose purpose,
                                                  const std::vector<uint8_t>& environment, PushHandler on_push);
  // Over a connection that is greeted already; for tests.
  static std::unique_ptr<Channel> over(std::unique_ptr<wire::Stream> stream, PushHandler on_push);
  // Another connection of the same session, for host functions or a lane.
  static Result<Fd> join(const wire::Address& address, const wire::Token& session, wire::Purpose purpose);
  ~Channel();

  // Both return false once the connection is lost. `fd` < 0: none is passed.
  bool post(wire::RecordHeader header, std::span<const uint8_t> body, const void* bulk, int fd);
  bool call(wire::RecordHeader header, std::span<const uint8_t> body, const void* bulk, int fd, Pending* pending);

  void flush();
  // Ends the connection for good and says why, once, on stderr.
  void fail(const std::string& reason);
  bool lost() const { return lost_.load(std::memory_order_acquire); }

  bool shares_memory() const { return address_.kind == wire::Address::Kind::unix_socket; }
  const wire::Address& address() const { return address_; }
  const wire::Token& token() const { return token_; }
  const Counters& counters() const { return counters_; }
  // Records so far. A record is counted when its place among them is settled: whoever knows that another thread's call
  // has returned sees it counted, and what has a smaller number comes before it at the server.
  uint64_t sent() const {
    return counters_.posted.load(std::memory_order_relaxed) + counters_.waited.load(std::memory_order_relaxed);
  }
  // In a child made by fork: the connection belongs to the parent.
  void abandon();

 private:
  Channel(wire::Address address, std::unique_ptr<wire::Stream> stream, wire::Token token, PushHandler on_push);

  bool append(const wire::RecordHeader& header, std::span<const uint8_t> body, const void* bulk, int fd,
              Pending* pending);
  void count(Pending* pending);
  bool flush_holding_send_mutex(bool before_another = false, Pending* pending = nullptr);
  bool send_all(std::span<iovec> parts, int fd);
  bool read_exact(void* data, uint64_t size);
  bool receive_some(void* data, uint64_t capacity, uint64_t* got);
  void sleep_precisely(int64_t microseconds);  // or until something comes
  bool ended();
  bool read_message();
  void wait(Pending* pending);
  void flusher();
  static void* flusher_entry(void* self);

  wire::Address address_;
  std::unique_ptr<wire::Stream> stream_;
  wire::Token token_;
  PushHandler on_push_;
  Counters counters_;
  std::atomic<bool> lost_{false};
  std::atomic<bool> said_{false};
  int spin_us_;
  uint64_t watch_us_;  // before a far answer comes
  // How soon the quickest of the recent answers came: none is looked for much earlier. Sockets only.
  std::atomic<uint64_t> quickest_us_{0};

  std::mutex send_mutex_;
  std::mutex out_mutex_;
  std::vector<uint8_t> out_, sending_;
  std::atomic<uint32_t> flusher_sleeps_{0};
  std::atomic<bool> stop_{false};
  pthread_t flusher_thread_{};  // none where the stream takes writes directly

  std::mutex in_mutex_;
  std::condition_variable in_changed_;
  std::vector<Pending*> pending_;
  uint32_t next_sequence_ = 1;
  bool reading_ = false;
  std::vector<uint8_t> in_;  // bytes received and not yet consumed: [in_at_, in_end_)
  size_t in_at_ = 0, in_end_ = 0;
};

}  // namespace nm::client
