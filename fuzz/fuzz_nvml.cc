// A hostile client against a worker that serves NVML.
#include <sys/socket.h>
#include <unistd.h>

#include "hostile_client.h"
#include "null_nvml.h"
#include "server/nvml_session.h"

namespace {

using nm::fuzz::Item;
using nm::fuzz::Row;
#include "nvml_shapes.inc"

}  // namespace

// Input: what NVML answers (u32), then nm::fuzz::hostile_stream.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 64 << 10) return 0;
  nm::fuzz::Input in(data, size);
  nm::fuzz::answer_by(in.take<uint32_t>());
  const std::vector<uint8_t> stream = nm::fuzz::hostile_stream(in, kNvmlRows, kNvmlItems, 0xe0);
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) return 0;
  [[maybe_unused]] ssize_t sent = send(ends[0], stream.data(), stream.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  shutdown(ends[0], SHUT_WR);
  {
    nm::server::NvmlState state;
    nm::server::fill_null_nvml(&state);
    nm::server::Connection connection(nm::wire::socket_stream(nm::Fd(ends[1]), true));
    nm::server::serve_nvml(state, connection);
  }
  close(ends[0]);
  return 0;
}
