// A hostile server against libcuda.so.1: a program's calls, answered with whatever an input says.
#include <sys/socket.h>
#include <unistd.h>

#include "client/client.h"
#include "client/context.h"
#include "client/handles.h"
#include "client/memory.h"
#include "hostile_server.h"
#include "remote.h"
#include "wire/facts.h"

using nm::Kind;
using nm::client::draw_handle;

#include "caller.h"
#include "program.h"

namespace {

using nm::fuzz::Caller;
using nm::fuzz::Input;
using nm::fuzz::Item;
using nm::fuzz::Row;
namespace remote = nm::client::remote;
#include "cuda_calls.inc"
#include "cuda_shapes.inc"

// As it travels: one blob.
std::vector<uint8_t> as_reply(const std::vector<uint8_t>& blob) {
  std::vector<uint8_t> out;
  nm::wire::Writer(out).bytes(blob.data(), blob.size());
  return out;
}

// Two small devices.
std::vector<uint8_t> facts() {
  nm::wire::Facts f;
  f.driver_version = 13000;
  f.devices.resize(2);
  for (auto& d : f.devices) {
    d.name = "device";
    d.total_memory = 1 << 30;
    d.attribute_result.assign(160, 0);
    d.attribute_value.assign(160, 1024);
  }
  f.errors.push_back({1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"});
  std::vector<uint8_t> out;
  nm::wire::Writer w(out);
  write_facts(f, w);
  return as_reply(out);
}

// A kernel with three parameters.
std::vector<uint8_t> function_facts() {
  nm::wire::FunctionFacts f;
  f.name = "kernel";
  f.parameters = {{0, 8}, {8, 4}, {16, 8}};
  f.attribute_result.assign(20, 0);
  f.attribute_value.assign(20, 1024);
  std::vector<uint8_t> out;
  nm::wire::Writer w(out);
  write_function_facts(f, w);
  return as_reply(out);
}

// Ranges at addresses that the last server made up would be in the way of this process's own memory.
void forget_memory() {
  std::vector<nm::client::MemoryRange> all;
  nm::client::for_each_memory([&](const auto& r) { all.push_back(r); });
  for (auto& r : all) {
    nm::client::remove_memory(r.base);
    nm::client::release_guard(r.base, r.size);
  }
}

}  // namespace

// Input: u16 how much of it is the program's, the program (what it calls, with what), the server (what it answers).
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 16 << 10) return 0;
  const size_t mine = std::min<size_t>(data[0] | data[1] << 8, size - 2);
  Caller program(Input(data + 2, mine));
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) return 0;
  {
    nm::fuzz::HostileServer server(ends[1], Input(data + 2 + mine, size - 2 - mine), kCudaRows, kCudaItems);
    server.prepare(nm::op::nm_describe, facts());
    server.prepare(nm::op::nm_function_info, function_facts());
    server.start();
    const bool heard = nm::client::Client::start_over(nm::Fd(ends[0])) == CUDA_SUCCESS;
    static const bool once = [] {
      nm::client::create_primary_contexts(2);
      return true;
    }();
    CUcontext context;
    // As in a program that begins: nothing sticks from the last input.
    while (cuCtxPopCurrent_v2(&context) == CUDA_SUCCESS) {
    }
    if (heard && once && cuDevicePrimaryCtxReset_v2(0) == CUDA_SUCCESS &&
        cuDevicePrimaryCtxRetain(&context, 0) == CUDA_SUCCESS) {
      cuCtxSetCurrent(context);
      server.turn();
      constexpr size_t kMostCalls = 48, kGenerated = std::size(kCudaCalls);
      for (size_t calls = 0; program.more() && calls < kMostCalls; calls++) {
        const size_t which = program.pick() % (kGenerated + nm::fuzz::kProgramCalls);
        if (which < kGenerated)
          kCudaCalls[which](program);
        else
          nm::fuzz::program_call(which - kGenerated, program);
      }
    }
    shutdown(ends[1], SHUT_RDWR);
  }
  forget_memory();
  return 0;
}
