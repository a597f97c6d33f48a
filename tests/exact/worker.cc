// What a posted record costs the worker, beside the driver's own work: nm_exact_worker SCENARIO N [--time]
//
// A session over rings in shared memory finds N records there, handles them with a driver that does nothing, and ends.
// Under callgrind, Session::run is what they cost. --time: prints nanoseconds a record, for a person; rings hold some
// thousand records.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "driver_table.h"
#include "server/session.h"
#include "wire/codec.h"
#include "wire/handle.h"
#include "wire/ring_stream.h"
#include "wire_ops.h"

namespace {

using namespace nm;

unsigned long g_launches = 0, g_events = 0;

CUresult launch(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void**,
                void** extra) {
  g_launches += extra != nullptr;
  return CUDA_SUCCESS;
}
CUresult record(CUevent, CUstream) {
  g_events++;
  return CUDA_SUCCESS;
}
CUresult make_current(CUcontext) { return CUDA_SUCCESS; }

const uint64_t kContext = wire::Handle{static_cast<uint8_t>(Kind::context), 1, 3}.value();
const uint64_t kFunction = wire::Handle{static_cast<uint8_t>(Kind::function), 1, 7}.value();
const uint64_t kStream = wire::Handle{static_cast<uint8_t>(Kind::stream), 1, 2}.value();
const uint64_t kEvent = wire::Handle{static_cast<uint8_t>(Kind::event), 1, 5}.value();

std::vector<uint8_t> record_of(uint16_t op, const std::vector<uint8_t>& body) {
  wire::RecordHeader header{};
  header.size = static_cast<uint32_t>(sizeof header + body.size());
  header.op = op;
  header.thread = 1;
  header.context = kContext;
  std::vector<uint8_t> out(header.size);
  memcpy(out.data(), &header, sizeof header);
  memcpy(out.data() + sizeof header, body.data(), body.size());
  return out;
}

// As tests/exact/calls.cc launches: four parameters in 24 bytes.
std::vector<uint8_t> a_launch() {
  std::vector<uint8_t> body, parameters(24);
  wire::Writer w(body);
  w.words({kFunction, 1, 1, 1, 32, 1, 1, 0, kStream, 0});
  w.bytes(nullptr, 0);
  w.u64(0);
  w.bytes(parameters.data(), parameters.size());
  w.u64(parameters.size());
  return record_of(op::nm_launch, body);
}

std::vector<uint8_t> an_event() {
  std::vector<uint8_t> body;
  wire::Writer(body).words({kEvent, kStream});
  return record_of(op::cuEventRecord, body);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const std::string scenario = argv[1];
  const unsigned long times = strtoul(argv[2], nullptr, 10);
  const bool timed = argc > 3 && !strcmp(argv[3], "--time");
  const std::vector<uint8_t> bytes = scenario == "launch" ? a_launch() : an_event();

  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) return 1;
  std::unique_ptr<wire::Stream> server;
  std::thread accept([&] { server = wire::accept_transport(Fd(ends[1]), true); });
  std::unique_ptr<wire::Stream> client = wire::offer_transport(Fd(ends[0]), true, true);
  accept.join();
  if (!client || !server || !client->writes_directly()) return 1;

  // The ring's memory is there on both sides, as it is after a program's first thousands of records.
  std::vector<uint8_t> dummy(64 << 10);
  for (int i = 0; timed && i < 32; i++) {
    iovec one{dummy.data(), dummy.size()};
    if (client->write({&one, 1}, -1) != server->read(dummy.data(), dummy.size())) return 1;
  }

  server::DriverTable driver;
  driver.cuLaunchKernel = launch;
  driver.cuEventRecord = record;
  driver.cuCtxSetCurrent = make_current;
  server::HostFunctions host_functions;
  wire::Lanes lanes(wire::Landing::buffers);
  server::Session session(driver, server::Connection(std::move(server)), host_functions, lanes);
  auto object = [](uintptr_t address) { return reinterpret_cast<void*>(address); };
  session.tables().context.bind(kContext, static_cast<CUcontext>(object(0x1000)));
  session.tables().function.bind(kFunction, static_cast<CUfunction>(object(0x2000)));
  session.tables().stream.bind(kStream, static_cast<CUstream>(object(0x3000)));
  session.tables().event.bind(kEvent, static_cast<CUevent>(object(0x4000)));

  for (unsigned long i = 0; i < times; i++) {
    iovec one{const_cast<uint8_t*>(bytes.data()), bytes.size()};
    if (client->write({&one, 1}, -1) != static_cast<ssize_t>(bytes.size())) return 1;
  }
  client->shut();
  const auto start = std::chrono::steady_clock::now();
  session.run();
  const auto took = std::chrono::steady_clock::now() - start;
  if (g_launches + g_events != times) {
    fprintf(stderr, "exact: %lu of %lu records reached the driver\n", g_launches + g_events, times);
    return 1;
  }
  // What goes to stdout is what kernels print: the session takes it.
  if (timed)
    fprintf(stderr, "%.1f ns\n", static_cast<double>(took / std::chrono::nanoseconds(1)) / static_cast<double>(times));
}
