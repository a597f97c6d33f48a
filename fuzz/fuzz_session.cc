// A hostile client against a worker: records with any operation of the table, any body, any bulk.
//
// Input: repeated { op index u16, flags u8, body size u16, bulk size u16, body, bulk }; what the input cannot say is made
// to fit, so that the fuzzer spends its time behind the framing. Flag 0x80 sends the header as the input has it.
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "null_driver.h"
#include "server/session.h"
#include "wire/record.h"

namespace {

constexpr uint16_t kOps[] = {
#include "wire_op_ids.inc"
};

template <typename T>
T take(const uint8_t*& p, size_t& left) {
  T value{};
  size_t n = left < sizeof value ? left : sizeof value;
  memcpy(&value, p, n);
  p += n;
  left -= n;
  return value;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 64 << 10) return 0;
  std::vector<uint8_t> stream;
  uint32_t sequence = 1;
  while (size > 6) {
    nm::wire::RecordHeader header{};
    uint16_t op = take<uint16_t>(data, size);
    uint8_t flags = take<uint8_t>(data, size);
    size_t body = std::min<size_t>(take<uint16_t>(data, size) % 1024, size);
    header.op = kOps[op % std::size(kOps)];
    header.thread = flags & 3;
    header.sequence = flags & 4 ? 0 : sequence++;
    const uint8_t* at = data;
    data += body, size -= body;
    size_t bulk = std::min<size_t>(take<uint16_t>(data, size) % 2048, size);
    header.size = static_cast<uint32_t>(sizeof header + body);
    header.bulk = bulk;
    if (flags & 0x80 && body >= sizeof header) memcpy(&header, at, sizeof header);
    auto* h = reinterpret_cast<const uint8_t*>(&header);
    stream.insert(stream.end(), h, h + sizeof header);
    stream.insert(stream.end(), at, at + body);
    stream.insert(stream.end(), data, data + bulk);
    data += bulk, size -= bulk;
  }
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) return 0;
  int room = 1 << 20;
  setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  [[maybe_unused]] ssize_t sent = send(ends[0], stream.data(), stream.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  shutdown(ends[0], SHUT_WR);
  {
    nm::server::HostFunctions host_functions;
    nm::server::Session session(nm::server::null_driver(), nm::server::Connection(nm::Fd(ends[1]), true), host_functions);
    session.run();
  }
  close(ends[0]);
  nm::server::reset_null_driver();
  return 0;
}
