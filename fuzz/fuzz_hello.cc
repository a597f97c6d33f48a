// The first bytes of a connection, as a stranger may send them: whole, and in pieces.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <algorithm>

#include "server/daemon_hello.h"

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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  HelloReader whole, pieces;
  const auto a = feed(whole, data, size, size);
  const auto b = feed(pieces, data, size, 7);
  if (a != b || whole.client().env != pieces.client().env) abort();
  if (a == HelloReader::State::refused && whole.refusal().sentence.empty()) abort();
  return 0;
}
