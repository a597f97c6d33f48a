// The worker's end of a connection: records in, replies out. Sending never blocks: a client that does not read
// only fills its own worker's memory, up to a limit.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/fd.h"
#include "wire/record.h"
#include "wire/stream.h"

namespace nm::server {

class Connection {
 public:
  explicit Connection(std::unique_ptr<wire::Stream> stream);

  enum class Next { record, nothing, closed };
  // The next record, if it has arrived whole (its bulk may still be on the way). `body` is valid until the next call.
  Next next(wire::RecordHeader* header, std::span<const uint8_t>* body);
  // Bulk of the current record: blocks until it is there. False: the connection ended.
  bool read_bulk(void* to, uint64_t size);
  bool skip_bulk(uint64_t size);
  // A descriptor that came with the current record; empty if none did.
  Fd take_fd();

  // `bulk` stays valid until `release` is called, which happens when it has been sent or never will be.
  void send(wire::ReplyHeader header, std::span<const uint8_t> body, std::vector<std::span<const uint8_t>> bulk,
            std::function<void()> release, int fd = -1);
  // Sends what the socket takes. False: the connection ended.
  bool flush();
  // Sleeps until there is input, room for output, or the time is over. Negative: no limit.
  void wait(int64_t microseconds);

  bool passes_fds() const { return stream_->passes_fds(); }

 private:
  struct Segment {
    std::vector<uint8_t> owned;
    std::span<const uint8_t> data;
    std::function<void()> release;
    int fd = -1;
  };
  bool receive(void* to, uint64_t capacity, bool block, uint64_t* got);
  bool fill(uint64_t needed);
  void queue(const wire::ReplyHeader& header, std::span<const uint8_t> body, int fd);
  void advance(uint64_t n);

  std::unique_ptr<wire::Stream> stream_;
  const size_t at_once_;
  bool closed_ = false;
  std::unique_ptr<uint8_t[]> in_;  // not zeroed: most sessions never touch most of it
  size_t at_ = 0, end_ = 0;
  std::deque<Segment> out_;
  uint64_t queued_ = 0;
};

}  // namespace nm::server
