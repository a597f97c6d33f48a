// A hostile client against a worker: a session over the null driver, fed with records of every row in the table.
#include <sys/socket.h>
#include <unistd.h>

#include "cuda_abi.h"
#include "hostile_client.h"
#include "null_driver.h"
#include "scripted_stream.h"
#include "server/session.h"
#include "wire/events.h"
#include "wire_ops.h"

namespace {

using nm::Kind;
using nm::fuzz::Item;
using nm::fuzz::Row;
#include "cuda_shapes.inc"

// What a hostile client answers when its host functions are called: memory of graphs that changed, it says.
std::vector<uint8_t> events(nm::fuzz::Input& in) {
  std::vector<uint8_t> out;
  auto put = [&](const auto& value) {
    auto* bytes = reinterpret_cast<const uint8_t*>(&value);
    out.insert(out.end(), bytes, bytes + sizeof value);
  };
  for (int answers = in.take<uint8_t>() % 4; answers > 0; answers--) {
    nm::wire::EventDone done{in.number(), static_cast<uint32_t>(in.number()), 0};
    put(done);
    for (uint32_t i = 0; i < std::min(done.updates, 4u); i++) {
      nm::wire::EventUpdate update{in.number(), in.number(), in.number()};
      put(update);
      out.resize(out.size() + std::min<uint64_t>(update.size, 4096), in.take<uint8_t>());
    }
  }
  return out;
}

// A connection with `bytes` on it and nothing after them.
bool connection_with(const std::vector<uint8_t>& bytes, nm::Fd* here, nm::Fd* there) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) return false;
  here->reset(ends[0]);
  there->reset(ends[1]);
  int room = 1 << 20;
  for (int end : ends) setsockopt(end, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  [[maybe_unused]] ssize_t sent = send(ends[0], bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  shutdown(ends[0], SHUT_WR);
  return true;
}

}  // namespace

// Input: what the driver answers (u32), what the client's host functions do, then nm::fuzz::hostile_stream.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 64 << 10) return 0;
  nm::fuzz::Input in(data, size);
  nm::fuzz::answer_by(in.take<uint32_t>());
  const std::vector<uint8_t> answers = events(in);
  nm::Fd my_events, their_events;
  auto stream = std::make_unique<nm::fuzz::ScriptedStream>(
      nm::fuzz::hostile_stream(in, kCudaRows, kCudaItems, uint8_t(Kind::context)));
  {
    nm::server::HostFunctions host_functions;
    if (!answers.empty() && connection_with(answers, &my_events, &their_events))
      host_functions.connect(std::move(their_events));
    nm::wire::Lanes lanes(nm::wire::Landing::buffers);
    nm::server::Session session(nm::server::null_driver(), nm::server::Connection(std::move(stream)), host_functions, lanes);
    session.run();
  }
  nm::server::reset_null_driver();
  return 0;
}
