// The sockets a daemon listens on. Those of encrypted addresses are the gate's to accept from (daemon_gate.h).
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "wire/address.h"

namespace nm::server {

// One listening, non-blocking socket. A Unix socket's file is removed with it, unless another server's has taken the
// place in the meantime.
class Listener {
 public:
  Listener(wire::Address address, Fd fd);
  Listener(Listener&&) = default;
  Listener& operator=(Listener&&) = delete;
  ~Listener();

  int fd() const { return fd_.get(); }
  const wire::Address& address() const { return address_; }

 private:
  wire::Address address_;
  Fd fd_;
  ino_t inode_ = 0;  // of the socket's file
};

// `group` empty: Unix sockets are mode 0600; else they belong to that group with 0660. "tcp:localhost:PORT" listens on
// 127.0.0.1 and, where the host has it, on ::1. A socket file that no server answers on any more is replaced.
Result<std::vector<Listener>> listen_on(const wire::Address& address, const std::string& group);

}  // namespace nm::server
