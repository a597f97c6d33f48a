// What a process has after cuInit: one connection, the facts it brought, and each thread's current context.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "client/channel.h"
#include "cuda_abi.h"
#include "wire/facts.h"

#define NM_EXPORT __attribute__((visibility("default")))

namespace nm::client {

class Client {
 public:
  static Client* get();  // null before a successful cuInit
  static CUresult start();
  // Over a connection that is greeted already, in place of whatever was there; for tests.
  static CUresult start_over(Fd connection);

  Channel& channel() { return *channel_; }
  const wire::Facts& facts() const { return facts_; }
  bool strict() const { return strict_; }
  bool traced() const { return traced_; }

 private:
  Client() = default;
  CUresult hear_facts();
  std::unique_ptr<Channel> channel_;
  wire::Facts facts_;
  bool strict_ = false, traced_ = false;
};

// CUDA_SUCCESS if this process may talk to its server: initialised, not a forked child, not lost.
CUresult enter();

// While a host function runs, its thread may not call the driver: NOT_PERMITTED.
void forbid_calls(bool forbid);

// Counts an answer that needed no server.
void count_local();

// Device numbers are those of the server's driver.
const wire::DeviceFacts* device_facts(CUdevice device);

// NOT_SUPPORTED, named once per function in the log.
CUresult not_supported(const char* function);

// The calling thread's number on the wire.
uint32_t thread_number();

// Set while a _ptsz or _ptds variant runs: stream 0 then means the thread's own default stream.
struct PerThreadDefault {
  PerThreadDefault();
  ~PerThreadDefault();
};

// Stream argument to what goes on the wire: 0 and 1 (the legacy stream) or a handle.
CUresult resolve_stream(CUstream stream, uint64_t* out);

}  // namespace nm::client
