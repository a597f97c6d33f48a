// A context: whose the streams, events, modules and memory are, what went wrong in it, and how a call finds it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "softgpu/driver.h"
#include "softgpu/ptx/ptx.h"
#include "softgpu/stream.h"

namespace nm::softgpu {

class Event;

// Device memory as a context's kernels see it.
class ContextMemory final : public ptx::Memory {
 public:
  ContextMemory(Driver& driver, Device& device, Context* owner) : driver_(driver), device_(device), owner_(owner) {}
  ptx::Range find(uint64_t address) override;
  uint64_t epoch() const override;
  uint64_t allocate(uint64_t bytes, uint64_t align) override;
  void release(uint64_t address) override;
  std::atomic<uint64_t> peers = 0;  // bit d: memory of device d is accessible (cuCtxEnablePeerAccess)

 private:
  Driver& driver_;
  Device& device_;
  Context* owner_;
};

struct Limits {
  size_t stack = 1024;
  size_t printf_fifo = 1 << 20;
  size_t malloc_heap = 8 << 20;
  size_t sync_depth = 2;
  size_t pending_launches = 2048;
  size_t l2_fetch = 64;
  size_t persisting_l2 = 0;
};

class Context final : public Object {
 public:
  static constexpr Kind kKind = Kind::context;
  Context(Driver& driver, Device& device, bool primary);
  static std::shared_ptr<Context> make(Driver& driver, Device& device, bool primary);

  Driver& driver;
  Device& device;
  const bool primary;

  // Under the driver's lock, as all that is not atomic.
  bool alive = false;
  uint64_t id = 0;
  uint64_t incarnation = 0;  // another number after each start
  unsigned flags = 0;
  unsigned api_version = 0;
  Limits limits;
  CUfunc_cache cache_config = CU_FUNC_CACHE_PREFER_NONE;
  CUsharedconfig shared_config = CU_SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE;
  std::shared_ptr<ContextMemory> memory;
  std::shared_ptr<ptx::DeviceHeap> heap;

  // Waits for a stop() that another thread is in the middle of.
  void start(unsigned with_flags, Lock& lock);
  // Ends all that the context owns; lets go of the lock while work runs out. The handle of a primary context stays.
  void stop(Lock& lock);

  // The first error of the device in this context; sticky. It is there before the work that it comes from, or that was
  // left out because of it, is seen as done: who asks for both asks for the end first.
  CUresult error() const { return error_.load(std::memory_order_acquire); }
  bool cancelled() const { return cancel_.load(std::memory_order_acquire); }
  const std::atomic<bool>* cancel_flag() const { return &cancel_; }
  void poison(CUresult error);

  // An object that ends with the context. Its handle is live from now on.
  void own(std::shared_ptr<Object> object);
  void disown(const Object* object);

  const StreamPtr& legacy() const { return legacy_; }
  // Where the ends of several streams are brought together; no program sees it and none of its streams wait for it.
  const StreamPtr& join() const { return join_; }
  StreamPtr per_thread();
  StreamPtr create_stream(unsigned with_flags, int priority);
  void destroy_stream(const StreamPtr& stream);
  std::vector<StreamPtr> streams() const;
  // Blocking streams and the legacy stream wait for each other.
  // The ends of all unfinished work.
  std::vector<std::shared_ptr<Fence>> pending();

  // Appends work, in the order that the legacy stream imposes on the context's other streams.
  std::shared_ptr<Completion> submit(Stream& stream, WorkPtr work, std::vector<std::shared_ptr<Fence>> after = {});

 private:
  bool stopping_ = false;
  std::condition_variable stopped_;
  std::atomic<CUresult> error_ = CUDA_SUCCESS;
  std::atomic<bool> cancel_ = false;
  StreamPtr legacy_, join_;
  std::vector<std::shared_ptr<Completion>> orphans_;  // ends of destroyed streams' last work
  std::map<std::thread::id, StreamPtr> per_thread_;
  std::unordered_map<const Object*, std::shared_ptr<Object>> owned_;
};
using ContextPtr = std::shared_ptr<Context>;

// The calling thread's stack of contexts.
std::vector<ContextPtr>& context_stack();
// True inside a per-thread-default-stream variant of a function: stream 0 means the thread's own.
bool& zero_is_per_thread();

// A call in the current context.
struct ContextCall : Call {
  ContextPtr context;

  StreamPtr stream(CUstream handle);
  // Lets go of the lock until all have happened, and fails if the context got an error meanwhile.
  void wait(const std::vector<std::shared_ptr<Fence>>& fences);
  // Appends work to the stream, or a node to the graph it captures into (then null).
  std::shared_ptr<Completion> enqueue(Stream& stream, WorkPtr work, std::vector<std::shared_ptr<Fence>> after = {});
  // As enqueue(), and returns when it is done.
  void enqueue_and_wait(Stream& stream, WorkPtr work);
};

// The current context, fit for use, or INVALID_CONTEXT, CONTEXT_IS_DESTROYED or its sticky error.
ContextPtr current_context();
void fail_if_unusable(const Context& context);

template <class Body>
CUresult in_context(Body&& body) {
  return guarded([&] {
    Driver& driver = Driver::get();
    if (in_host_function()) fail(CUDA_ERROR_NOT_PERMITTED);
    Lock lock(driver.mutex);
    ContextCall c{{driver, lock}, current_context()};
    body(c);
  });
}

}  // namespace nm::softgpu
