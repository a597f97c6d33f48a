// A hostile server against the client library's connection: any bytes after a proper Welcome.
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "client/channel.h"
#include "wire/facts.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 64 << 10) return 0;
  {
    nm::wire::Reader in({data, size});
    nm::wire::Facts facts;
    read_facts(in, &facts);
    nm::wire::Reader again({data, size});
    nm::wire::FunctionFacts function;
    read_function_facts(again, &function);
  }
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) return 0;
  [[maybe_unused]] ssize_t sent = send(ends[0], data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  shutdown(ends[0], SHUT_WR);
  char pushed[256];
  auto on_push = [&](nm::wire::PushKind, std::span<const uint8_t>, uint64_t bulk, auto& read) {
    return bulk <= sizeof pushed && read(pushed, bulk);
  };
  {
    auto channel = nm::client::Channel::over(nm::wire::socket_stream(nm::Fd(ends[1]), true), on_push);
    char bulk[64];
    for (int i = 0; i < 8 && !channel->lost(); i++) {
      nm::client::Pending pending;
      pending.bulk = bulk;
      pending.bulk_size = i % 2 ? sizeof bulk : 0;
      nm::wire::RecordHeader header{};
      uint8_t body[24] = {};
      channel->call(header, body, nullptr, -1, &pending);
      channel->post(header, body, body, -1);
    }
  }
  close(ends[0]);
  return 0;
}
