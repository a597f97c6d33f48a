// A hostile server against libnvidia-ml.so.1.
#include <sys/socket.h>
#include <unistd.h>

#include "client/nvml/session.h"
#include "hostile_server.h"
#include "nvml_remote.h"
#include "wire/nvml.h"

namespace {

// NVML's handles are the server's: a client draws none.
uint64_t draw_handle(int) { return 0; }

}  // namespace

#include "caller.h"

namespace {

using nm::fuzz::Caller;
using nm::fuzz::Input;
using nm::fuzz::Item;
using nm::fuzz::Row;
namespace remote = nm::client::nvml::remote;
#include "nvml_calls.inc"
#include "nvml_shapes.inc"

std::shared_ptr<nm::client::Channel> g_channel;

bool refuse_push(nm::wire::PushKind, std::span<const uint8_t>, uint64_t, const std::function<bool(void*, uint64_t)>&) {
  return false;
}

}  // namespace

// In place of client/nvml/session.cc: the session is the input's.
namespace nm::client::nvml {

nvmlReturn_t open_session(unsigned) { return NVML_SUCCESS; }
nvmlReturn_t close_session() { return NVML_SUCCESS; }
bool is_open() { return true; }
nvmlReturn_t channel_of_session(std::shared_ptr<Channel>* out) {
  if (g_channel->lost()) return NVML_ERROR_UNKNOWN;
  *out = g_channel;
  return NVML_SUCCESS;
}

}  // namespace nm::client::nvml

// Input: as fuzz_client's.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 16 << 10) return 0;
  const size_t mine = std::min<size_t>(data[0] | data[1] << 8, size - 2);
  Caller program(Input(data + 2, mine));
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) return 0;
  nm::fuzz::HostileServer server(ends[1], Input(data + 2 + mine, size - 2 - mine), kNvmlRows, kNvmlItems);
  server.turn();
  server.start();
  g_channel = nm::client::Channel::over(nm::wire::socket_stream(nm::Fd(ends[0]), true), refuse_push);
  constexpr size_t kMostCalls = 48;
  for (size_t calls = 0; program.more() && calls < kMostCalls; calls++)
    kNvmlCalls[program.pick() % std::size(kNvmlCalls)](program);
  shutdown(ends[1], SHUT_RDWR);
  g_channel.reset();
  return 0;
}
