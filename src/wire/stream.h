// The bytes between a client and its worker: in order, both ways, with descriptors where the way can carry them.
//
// One thread may read while another writes; each direction has one user at a time. No call blocks but wait(), and no
// call throws. Shared by the worker and by the client library, so: libc and the standard library only.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>

#include "base/fd.h"

namespace nm::wire {

class Stream {
 public:
  virtual ~Stream() = default;

  // How many bytes of `parts`, taken in order, are on their way; 0: there is no room now; -1: the connection ended,
  // with the reason in errno (0: the other side closed it). A descriptor goes with the first byte and stays the
  // caller's.
  virtual ssize_t write(std::span<const iovec> parts, int fd = -1) = 0;
  // How many bytes were put at `to`; 0: there are none now; -1 as above, once everything has been read.
  virtual ssize_t read(void* to, size_t capacity) = 0;
  // The oldest descriptor that came with what has been read so far; empty if none did.
  virtual Fd take_fd() = 0;

  static constexpr unsigned kReadable = 1, kWritable = 2;
  // Sleeps until one of `what` holds, the connection ends or the time is over. Negative: no limit.
  virtual void wait(unsigned what, int64_t microseconds) = 0;
  // Wakes all who wait, here and on the other side, for good. Safe from any thread.
  virtual void shut() = 0;

  // A write that somebody awake will read costs no system call, so there is no use in gathering several.
  virtual bool writes_directly() const = 0;
  virtual bool passes_fds() const = 0;
};

// A connected stream socket; `passes_fds` if it is a Unix socket.
std::unique_ptr<Stream> socket_stream(Fd socket, bool passes_fds);

}  // namespace nm::wire
