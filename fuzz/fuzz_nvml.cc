// A hostile client against a worker that serves NVML.
#include "hostile_client.h"
#include "null_nvml.h"
#include "scripted_stream.h"
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
  nm::server::NvmlState state;
  nm::server::fill_null_nvml(&state);
  nm::server::Connection connection(
      std::make_unique<nm::fuzz::ScriptedStream>(nm::fuzz::hostile_stream(in, kNvmlRows, kNvmlItems, 0xe0)));
  nm::server::serve_nvml(state, connection);
  return 0;
}
