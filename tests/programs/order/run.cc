#include "order/run.h"

#include <string.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "order/driver.h"
#include "order/kernels.h"
#include "order/simulate.h"

namespace order {
namespace {

CUcontext g_context = nullptr;
CUfunction g_fold = nullptr, g_mix = nullptr;

size_t at(int i) { return static_cast<size_t>(i); }

bool is_registered(Place p) { return p == Place::registered || p == Place::registered_mapped; }

// What a host function works on.
struct HostFold {
  uint8_t* dst;
  const uint8_t* src;
  uint32_t size, src_size, a, b;
};
void host_fold(void* data) {
  auto* f = static_cast<HostFold*>(data);
  fold_bytes(f->dst, f->size, f->src, f->src_size, f->a, f->b);
}
void host_fold_callback(CUstream, CUresult, void* data) { host_fold(data); }

class Run {
 public:
  explicit Run(const Program& program) : p_(program), progress_(at(program.threads)), doing_(at(program.threads)) {
    for (auto& progress : progress_) progress = -1;
    for (auto& doing : doing_) doing = -1;
    make_memory();
    make_objects();
    Memory model(p_);
    for (const Op& op : p_.ops) {
      expected_.push_back(op.kind == Kind::host_check ? model.digest_of(op.src) : 0);
      model.apply(op);
    }
  }

  Outcome go(int seconds) {
    std::vector<std::thread> threads;
    for (int t = 0; t < p_.threads; t++) threads.emplace_back([this, t] { execute_all(t); });
    {
      std::unique_lock lock(mutex_);
      if (!ended_.wait_for(lock, std::chrono::seconds(seconds), [&] { return running_ == 0; })) say_where();
    }
    for (auto& thread : threads) thread.join();
    t_doing = "Seed " + std::to_string(p_.seed) + ": after its end.";
    CU(cuCtxSynchronize);
    Outcome outcome;
    outcome.digest = compare_all();
    outcome.wrong = std::move(wrong_);
    clean_up();
    return outcome;
  }

 private:
  // Memory and objects.

  void make_memory() {
    t_doing = "Seed " + std::to_string(p_.seed) + ": at its beginning.";
    addresses_.assign(p_.regions.size(), 0);
    for (size_t b = 0; b < p_.buffers.size(); b++) {
      const Buffer& buffer = p_.buffers[b];
      void* host = nullptr;
      CUdeviceptr device = 0;
      if (buffer.place == Place::device) CU(cuMemAlloc_v2, &device, buffer.size);
      if (buffer.place == Place::pageable) host = malloc(buffer.size);
      if (buffer.place == Place::pinned)
        CU(cuMemHostAlloc, &host, buffer.size, b % 2 ? unsigned{CU_MEMHOSTALLOC_PORTABLE} : 0u);
      if (buffer.place == Place::mapped) CU(cuMemHostAlloc, &host, buffer.size, CU_MEMHOSTALLOC_DEVICEMAP);
      if (is_registered(buffer.place)) {
        host = aligned_alloc(4096, (buffer.size + 4095) & ~4095u);
        memset(host, 0, buffer.size);
        CU(cuMemHostRegister_v2, host, (buffer.size + 4095) & ~4095u,
           buffer.place == Place::registered ? 0u : unsigned{CU_MEMHOSTREGISTER_DEVICEMAP});
      }
      if (host && kernels_reach(buffer.place)) CU(cuMemHostGetDevicePointer_v2, &device, host, 0);
      hosts_.push_back(static_cast<uint8_t*>(host));
      devices_.push_back(device);
    }
    for (size_t r = 0; r < p_.regions.size(); r++) {
      const Region& region = p_.regions[r];
      if (region.place == Place::pooled) continue;
      auto bytes = initial_bytes(p_.seed, static_cast<int>(r), region.size);
      if (devices_[at(region.buffer)]) addresses_[r] = devices_[at(region.buffer)] + region.offset;
      if (is_host(region.place))
        memcpy(hosts_[at(region.buffer)] + region.offset, bytes.data(), region.size);
      else
        CU(cuMemcpyHtoD_v2, addresses_[r], bytes.data(), region.size);
    }
    CU(cuCtxSynchronize);
  }

  void make_objects() {
    for (const StreamSpec& spec : p_.streams) {
      CUstream stream = nullptr;
      if (spec.kind == StreamSpec::per_thread) stream = reinterpret_cast<CUstream>(2);
      if (spec.kind >= StreamSpec::blocking) {
        CU(cuStreamCreateWithPriority, &stream,
           spec.kind == StreamSpec::blocking ? CU_STREAM_DEFAULT : CU_STREAM_NON_BLOCKING, spec.priority);
      }
      streams_.push_back(stream);
    }
    events_.resize(at(p_.events + 2 * p_.threads));  // the last ones for the forks of captures
    for (size_t e = 0; e < events_.size(); e++) {
      CU(cuEventCreate, &events_[e],
         e % 2   ? unsigned{CU_EVENT_DISABLE_TIMING}
         : e % 4 ? unsigned{CU_EVENT_BLOCKING_SYNC}
                 : 0u);
    }
    graphs_.assign(at(p_.graphs), nullptr);
    folds_.resize(at(p_.threads));
    running_ = p_.threads;
  }

  void clean_up() {
    for (CUgraphExec graph : graphs_) {
      if (graph) CU(cuGraphExecDestroy, graph);
    }
    for (CUevent event : events_) CU(cuEventDestroy_v2, event);
    for (size_t s = 0; s < streams_.size(); s++) {
      if (p_.streams[s].kind >= StreamSpec::blocking) CU(cuStreamDestroy_v2, streams_[s]);
    }
    for (size_t r = 0; r < p_.regions.size(); r++) {
      if (p_.regions[r].place == Place::pooled && addresses_[r]) CU(cuMemFree_v2, addresses_[r]);
    }
    for (size_t b = 0; b < p_.buffers.size(); b++) {
      Place place = p_.buffers[b].place;
      if (place == Place::device) CU(cuMemFree_v2, devices_[b]);
      if (place == Place::pinned || place == Place::mapped) CU(cuMemFreeHost, hosts_[b]);
      if (is_registered(place)) CU(cuMemHostUnregister, hosts_[b]);
      if (place == Place::pageable || is_registered(place)) free(hosts_[b]);
    }
  }

  uint8_t* host(const Span& s) const {
    const Region& region = p_.region(s);
    return hosts_[at(region.buffer)] + region.offset + s.offset;
  }
  CUdeviceptr device(const Span& s) const { return addresses_[at(s.region)] + s.offset; }

  // Execution.

  void execute_all(int thread) {
    CU(cuCtxSetCurrent, g_context);
    for (size_t i = 0; i < p_.ops.size(); i++) {
      const Op& op = p_.ops[i];
      if (op.thread != thread) continue;
      doing_[at(thread)] = static_cast<int>(i);
      t_doing = "Seed " + std::to_string(p_.seed) + ", operation" + describe(p_, op);
      if (op.kind == Kind::host_check)
        check(op, expected_[i]);
      else
        execute(op, op.stream < 0 ? nullptr : stream_of(op));
      progress_[at(thread)].store(op.id, std::memory_order_release);
    }
    std::lock_guard lock(mutex_);
    if (--running_ == 0) ended_.notify_all();
  }

  CUstream stream_of(const Op& op) const {
    if (op.stream == 0) return op.form % 2 ? reinterpret_cast<CUstream>(1) : nullptr;  // it has two names
    return streams_[at(op.stream)];
  }

  void execute(const Op& op, CUstream stream) {
    switch (op.kind) {
      case Kind::fold:
      case Kind::mix:
        launch(op, stream);
        break;
      case Kind::fill:
        fill(op, stream);
        break;
      case Kind::copy:
        copy(op, stream);
        break;
      case Kind::copy_2d:
        copy_rows(op, stream);
        break;
      case Kind::host_function:
        call_host(op, stream);
        break;
      case Kind::host_write:
        fold_bytes(host(op.dst), op.dst.size, nullptr, 0, op.a, op.b);
        break;
      case Kind::record:
        CU(cuEventRecord, events_[at(op.object)], stream);
        break;
      case Kind::wait_event:
        CU(cuStreamWaitEvent, stream, events_[at(op.object)], 0);
        break;
      case Kind::sync_event:
        CU(cuEventSynchronize, events_[at(op.object)]);
        break;
      case Kind::poll_event:
        poll("cuEventQuery", [&] { return CU_ANSWER(cuEventQuery, events_[at(op.object)]); });
        break;
      case Kind::sync_stream:
        CU(cuStreamSynchronize, stream);
        break;
      case Kind::poll_stream:
        poll("cuStreamQuery", [&] { return CU_ANSWER(cuStreamQuery, stream); });
        break;
      case Kind::sync_context: {
        // Whether a context may be waited for while somebody captures is no question of order.
        std::unique_lock lock(captures_);
        CU(cuCtxSynchronize);
        break;
      }
      case Kind::wait_thread:
        wait_thread(op);
        break;
      case Kind::allocate:
        CU(cuMemAllocAsync, &addresses_[at(op.dst.region)], op.dst.size, stream);
        CU(cuMemsetD8Async, addresses_[at(op.dst.region)], static_cast<unsigned char>(op.a), op.dst.size, stream);
        break;
      case Kind::release:
        CU(cuMemFreeAsync, addresses_[at(op.dst.region)], stream);
        addresses_[at(op.dst.region)] = 0;
        break;
      case Kind::capture:
        capture(op);
        break;
      case Kind::launch_graph:
        CU(cuGraphLaunch, graphs_[at(op.object)], stream);
        break;
      case Kind::host_check:
        break;
    }
  }

  void launch(const Op& op, CUstream stream) {
    CUdeviceptr dst = device(op.dst), src = 0;
    unsigned n = op.dst.size / 4, a = op.a, b = op.b, c = op.c, steps = op.delay, m = op.src.size / 4;
    if (op.kind == Kind::mix) src = device(op.src);
    void* params[] = {&dst, &n, &a, &b, &c, &steps, &src, &m};
    CU(cuLaunchKernel, op.kind == Kind::mix ? g_mix : g_fold, (n + 127) / 128, 1, 1, 128, 1, 1, 0, stream, params,
       nullptr);
  }

  void fill(const Op& op, CUstream stream) {
    const CUdeviceptr dst = device(op.dst);
    const auto a8 = static_cast<unsigned char>(op.a);
    const auto a16 = static_cast<unsigned short>(op.a);
    const size_t n = op.dst.size / op.b;
    if (op.waits) {
      if (op.b == 1) CU(cuMemsetD8_v2, dst, a8, n);
      if (op.b == 2) CU(cuMemsetD16_v2, dst, a16, n);
      if (op.b == 4) CU(cuMemsetD32_v2, dst, op.a, n);
    } else {
      if (op.b == 1) CU(cuMemsetD8Async, dst, a8, n, stream);
      if (op.b == 2) CU(cuMemsetD16Async, dst, a16, n, stream);
      if (op.b == 4) CU(cuMemsetD32Async, dst, op.a, n, stream);
    }
  }

  void copy(const Op& op, CUstream stream) {
    const bool from = is_host(p_.region(op.src).place), to = is_host(p_.region(op.dst).place);
    const size_t n = op.dst.size;
    if (op.form == 2) {
      CUdeviceptr dst = to ? reinterpret_cast<CUdeviceptr>(host(op.dst)) : device(op.dst);
      CUdeviceptr src = from ? reinterpret_cast<CUdeviceptr>(host(op.src)) : device(op.src);
      if (op.waits)
        CU(cuMemcpy, dst, src, n);
      else
        CU(cuMemcpyAsync, dst, src, n, stream);
    } else if (from) {
      if (op.waits)
        CU(cuMemcpyHtoD_v2, device(op.dst), host(op.src), n);
      else
        CU(cuMemcpyHtoDAsync_v2, device(op.dst), host(op.src), n, stream);
    } else if (to) {
      if (op.waits)
        CU(cuMemcpyDtoH_v2, host(op.dst), device(op.src), n);
      else
        CU(cuMemcpyDtoHAsync_v2, host(op.dst), device(op.src), n, stream);
    } else {
      if (op.waits)
        CU(cuMemcpyDtoD_v2, device(op.dst), device(op.src), n);
      else
        CU(cuMemcpyDtoDAsync_v2, device(op.dst), device(op.src), n, stream);
    }
  }

  void copy_rows(const Op& op, CUstream stream) {
    CUDA_MEMCPY2D m{};
    m.srcMemoryType = m.dstMemoryType = CU_MEMORYTYPE_DEVICE;
    if (is_host(p_.region(op.src).place)) {
      m.srcMemoryType = CU_MEMORYTYPE_HOST;
      m.srcHost = host(op.src);
    } else {
      m.srcDevice = device(op.src);
    }
    if (is_host(p_.region(op.dst).place)) {
      m.dstMemoryType = CU_MEMORYTYPE_HOST;
      m.dstHost = host(op.dst);
    } else {
      m.dstDevice = device(op.dst);
    }
    m.srcPitch = op.src_pitch;
    m.dstPitch = op.dst_pitch;
    m.WidthInBytes = op.width;
    m.Height = op.height;
    if (!op.waits)
      CU(cuMemcpy2DAsync_v2, &m, stream);
    else
      CU(cuMemcpy2DUnaligned_v2, &m);
  }

  void call_host(const Op& op, CUstream stream) {
    HostFold fold{host(op.dst), nullptr, op.dst.size, op.src.size, op.a, op.b};
    if (op.src.region >= 0) fold.src = host(op.src);
    auto& mine = folds_[at(op.thread)];  // a deque: what the driver has stays where it is
    mine.push_back(fold);
    if (op.form == 1)
      CU(cuStreamAddCallback, stream, host_fold_callback, &mine.back(), 0);
    else
      CU(cuLaunchHostFunc, stream, host_fold, &mine.back());
  }

  void capture(const Op& op) {
    std::shared_lock lock(captures_);
    CUstream origin = streams_[at(op.stream)], beside = streams_[at(op.stream) + 1];
    CUevent fork = events_[at(p_.events + 2 * op.thread)], meet = events_[at(p_.events + 2 * op.thread + 1)];
    bool forked = false;
    for (const Op& node : op.nodes) forked |= node.object == 1;
    CU(cuStreamBeginCapture_v2, origin, op.form ? CU_STREAM_CAPTURE_MODE_THREAD_LOCAL : CU_STREAM_CAPTURE_MODE_RELAXED);
    if (forked) {
      CU(cuEventRecord, fork, origin);
      CU(cuStreamWaitEvent, beside, fork, 0);
    }
    for (const Op& node : op.nodes) execute(node, node.object == 1 ? beside : origin);
    if (forked) {
      CU(cuEventRecord, meet, beside);
      CU(cuStreamWaitEvent, origin, meet, 0);
    }
    CUgraph graph;
    CU(cuStreamEndCapture, origin, &graph);
    CUgraphExec& exec = graphs_[at(op.object)];
    if (exec) CU(cuGraphExecDestroy, exec);  // its launches may still be under way
    CU(cuGraphInstantiateWithFlags, &exec, graph, 0);
    CU(cuGraphDestroy, graph);
  }

  template <typename Ask>
  void poll(const char* name, Ask ask) {
    for (;;) {
      CUresult result = ask();
      if (result == CUDA_SUCCESS) return;
      if (result != CUDA_ERROR_NOT_READY) call_failed(name, result);
      std::this_thread::yield();
    }
  }

  void wait_thread(const Op& op) {
    // Who it waits for is found by the serial order: the target's id tells its thread.
    const auto& progress = progress_[at(thread_of(op.target))];
    for (int i = 0; progress.load(std::memory_order_acquire) < op.target; i++) {
      if (i < 100)
        std::this_thread::yield();
      else
        std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  }
  int thread_of(int id) const {
    size_t low = 0, high = p_.ops.size();
    while (low + 1 < high) {
      size_t middle = (low + high) / 2;
      (p_.ops[middle].id <= id ? low : high) = middle;
    }
    return p_.ops[low].thread;
  }

  // Comparing.

  void check(const Op& op, uint64_t expected) {
    const uint8_t* bytes = host(op.src);
    if (digest(bytes, op.src.size) == expected) return;
    std::lock_guard lock(mutex_);
    if (!wrong_ || wrong_->seen_by > op.id) wrong_ = Wrong{op.id, op.src, {bytes, bytes + op.src.size}};
  }

  uint64_t compare_all() {
    Memory model(p_);
    for (const Op& op : p_.ops) model.apply(op);
    uint64_t all = digest(nullptr, 0);
    for (size_t r = 0; r < p_.regions.size(); r++) {
      const Region& region = p_.regions[r];
      const int number = static_cast<int>(r);
      if (!model.live(number)) continue;
      Span span{number, 0, region.size};
      std::vector<uint8_t> bytes(region.size);
      if (is_host(region.place))
        memcpy(bytes.data(), host(span), region.size);
      else
        CU(cuMemcpyDtoH_v2, bytes.data(), device(span), region.size);
      all = digest(bytes.data(), bytes.size(), all);
      if (!wrong_ && bytes != model.bytes(number)) wrong_ = Wrong{-1, span, std::move(bytes)};
    }
    return all;
  }

  [[noreturn]] void say_where() {
    fprintf(stderr, "order: seed %llu does not end.\n", static_cast<unsigned long long>(p_.seed));
    for (int t = 0; t < p_.threads; t++) {
      int doing = doing_[at(t)];
      fprintf(stderr, "  thread %d is at %s\n", t,
              doing < 0 ? "its beginning" : describe(p_, p_.ops[at(doing)]).c_str());
    }
    fflush(nullptr);
    _exit(3);
  }

  const Program& p_;
  std::vector<uint8_t*> hosts_;         // per buffer
  std::vector<CUdeviceptr> devices_;    // per buffer
  std::vector<CUdeviceptr> addresses_;  // per region
  std::vector<CUstream> streams_;
  std::vector<CUevent> events_;
  std::vector<CUgraphExec> graphs_;
  std::vector<std::deque<HostFold>> folds_;  // per thread
  std::vector<uint64_t> expected_;           // per operation
  std::vector<std::atomic<int>> progress_, doing_;
  std::shared_mutex captures_;
  std::mutex mutex_;
  std::condition_variable ended_;
  int running_ = 0;
  std::optional<Wrong> wrong_;
};

}  // namespace

void start_driver() {
  CUdevice device = 0;
  CUmodule module = nullptr;
  CU(cuInit, 0);
  CU(cuDeviceGet, &device, 0);
  CU(cuDevicePrimaryCtxRetain, &g_context, device);
  CU(cuCtxSetCurrent, g_context);
  CU(cuModuleLoadData, &module, kPtx);
  CU(cuModuleGetFunction, &g_fold, module, "fold");
  CU(cuModuleGetFunction, &g_mix, module, "mix");
}

Outcome run(const Program& program, int seconds) { return Run(program).go(seconds); }

std::string explain(const Program& program, const Wrong& wrong) {
  Memory model(program, true);
  for (const Op& op : program.ops) {
    if (op.id == wrong.seen_by) break;
    model.apply(op);
  }
  const auto& expected = model.bytes(wrong.where.region);
  uint32_t first = 0, count = 0;
  for (uint32_t i = wrong.where.size; i-- > 0;) {
    if (wrong.bytes[i] == expected[wrong.where.offset + i]) continue;
    first = i;
    count++;
  }
  auto find_op = [&](int id) {
    for (const Op& op : program.ops) {
      if (op.id == id) return describe(program, op);
    }
    return std::string(" none");
  };
  char text[200];
  const uint32_t byte = wrong.where.offset + first;
  snprintf(text, sizeof text, "  region %d: %u of %u bytes differ, first at %u: is 0x%02x, should be 0x%02x\n",
           wrong.where.region, count, wrong.where.size, byte, wrong.bytes[first], expected[byte]);
  auto writer = find_op(model.writer(wrong.where.region, byte));
  return text + ("  should have been written by" + writer) + "\n  seen by" +
         (wrong.seen_by < 0 ? std::string(" a look at the end") : find_op(wrong.seen_by)) + "\n";
}

}  // namespace order
