// One process per client. The daemon starts `nearmetald --worker`, hands it connections over a socket, and reaps it.
//
// Control socket (SOCK_SEQPACKET), daemon to worker: one Assignment per message, the connection as SCM_RIGHTS.
// Worker to daemon: one Report per message. The worker sends the Welcome on the connection itself, ends when the
// session's main connection closes, and ends at once when the control socket closes.
#pragma once

#include <cstdint>
#include <string>

#include "wire/hello.h"

namespace nm::server {

struct Assignment {
  wire::Hello hello;    // hello.token names the session (for a new one, the token that the daemon drew)
  uint32_t is_far = 0;  // the client is on another host, although the socket is a Unix socket: the gate stands between
};

struct Report {
  enum Kind : uint32_t { ready = 1, session_started = 2 } kind;
  int32_t detail = 0;  // ready: what cuInit answered (a CUresult)
};

struct WorkerOptions {
  int control_fd = -1;
  std::string driver;       // path of the libcuda.so.1 to serve
  std::string nvml_driver;  // path of the libnvidia-ml.so.1 to serve; empty: none
  bool init_cuda = true;    // false for NVML sessions
  std::string image_cache;  // directory of images that clients sent (server/image_cache.h); empty: none
  uint64_t image_cache_bytes = 0;
  int page_fd = -1;  // where it tells what it does (server/session_page.h); negative: nowhere
};

// Runs until the session ends. The result is the process's exit status.
int worker_main(const WorkerOptions& options);

}  // namespace nm::server
