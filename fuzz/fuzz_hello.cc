// The first bytes of a connection, as a stranger may send them: whole, and in pieces. And what a stranger may answer to
// a question for the status.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <vector>

#include "base/version.h"
#include "server/daemon_hello.h"
#include "wire/status.h"

namespace {

using nm::server::HelloReader;

HelloReader::State feed(HelloReader& reader, const uint8_t* data, size_t size, size_t piece) {
  auto state = HelloReader::State::need_more;
  for (size_t at = 0; at < size && state == HelloReader::State::need_more;) {
    const size_t some = std::min({piece, reader.wanted(), size - at});
    if (some == 0) abort();  // it wants more and says of nothing how much
    state = reader.feed(data + at, some);
    at += some;
  }
  return state;
}

void read_hello(const uint8_t* data, size_t size) {
  HelloReader whole, pieces;
  const auto a = feed(whole, data, size, size);
  const auto b = feed(pieces, data, size, 7);
  if (a != b || whole.client().env != pieces.client().env) abort();
  if (a == HelloReader::State::refused && whole.refusal().sentence.empty()) abort();
}

// The same from a client of our own release: inputs stay good when the protocol's number moves on.
void read_hello_of_our_release(const uint8_t* data, size_t size) {
  nm::wire::Hello ours;
  if (size < sizeof ours) return;
  std::vector<uint8_t> bytes(data, data + size);
  memcpy(bytes.data() + offsetof(nm::wire::Hello, protocol), &ours.protocol, sizeof ours.protocol);
  nm::kVersion.copy(ours.version, sizeof ours.version - 1);
  memcpy(bytes.data() + offsetof(nm::wire::Hello, version), ours.version, sizeof ours.version);
  read_hello(bytes.data(), bytes.size());
}

// What is read is plain, and what is plain is read again as it is.
void read_answer(const uint8_t* data, size_t size) {
  nm::wire::Reader in({data, size});
  nm::wire::ServerStatus status, again;
  if (!nm::wire::read_status(in, &status)) return;
  std::vector<uint8_t> bytes;
  nm::wire::Writer out(bytes);
  nm::wire::write_status(status, out);
  nm::wire::Reader back(bytes);
  if (bytes.size() > nm::wire::kMaxStatus || !nm::wire::read_status(back, &again) || !(status == again)) abort();
  for (auto& session : status.sessions) {
    for (char c : session.program + session.from) {
      if (c < 0x20 || c > 0x7e) abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  read_hello(data, size);
  read_hello_of_our_release(data, size);
  read_answer(data, size);
  return 0;
}
