#include "softgpu/context.h"

#include <pthread.h>

#include "softgpu/capture.h"

namespace nm::softgpu {

namespace {

using ContextStack = std::vector<ContextPtr>;
thread_local ContextStack* t_stack = nullptr;

// Frees the stack of a thread that ends. Not of one that exits the process: destructors of the program's own static
// objects still call the driver then, so a thread_local with a destructor of its own would be gone too early.
pthread_key_t stack_key() {
  static const pthread_key_t key = [] {
    pthread_key_t made;
    require(pthread_key_create(&made,
                               [](void* stack) {
                                 t_stack = nullptr;
                                 delete static_cast<ContextStack*>(stack);
                               }) == 0,
            CUDA_ERROR_OPERATING_SYSTEM);
    return made;
  }();
  return key;
}

}  // namespace

std::vector<ContextPtr>& context_stack() {
  if (!t_stack) {
    auto stack = std::make_unique<ContextStack>();
    require(pthread_setspecific(stack_key(), stack.get()) == 0, CUDA_ERROR_OPERATING_SYSTEM);
    t_stack = stack.release();
  }
  return *t_stack;
}

bool& zero_is_per_thread() {
  static thread_local bool value = false;
  return value;
}

void fail_if_unusable(const Context& context) {
  require(context.alive, CUDA_ERROR_CONTEXT_IS_DESTROYED);
  check(context.error());
}

ContextPtr current_context() {
  const auto& stack = context_stack();
  require(!stack.empty() && stack.back(), CUDA_ERROR_INVALID_CONTEXT);
  fail_if_unusable(*stack.back());
  return stack.back();
}

Context::Context(Driver& driver, Device& device, bool primary)
    : Object(kKind), driver(driver), device(device), primary(primary) {}

std::shared_ptr<Context> Context::make(Driver& driver, Device& device, bool primary) {
  auto context = std::make_shared<Context>(driver, device, primary);
  context->id = driver.next_id();
  return context;
}

void Context::start(unsigned with_flags, Lock& lock) {
  stopped_.wait(lock, [this] { return !stopping_; });
  if (alive) return;  // another thread that waited was first
  flags = with_flags | CU_CTX_MAP_HOST;
  incarnation = driver.next_id();
  limits = {};
  error_ = CUDA_SUCCESS;
  cancel_ = false;
  memory = std::make_shared<ContextMemory>(driver, device, this);
  heap = std::make_shared<ptx::DeviceHeap>(*memory, limits.malloc_heap);
  const auto self = std::static_pointer_cast<Context>(shared_from_this());
  legacy_ = std::make_shared<Stream>(self, driver.next_id(), 0u, 0);
  join_ = std::make_shared<Stream>(self, 0u, static_cast<unsigned>(CU_STREAM_NON_BLOCKING), 0);
  alive = true;
}

void Context::stop(Lock& lock) {
  stopping_ = true;
  alive = false;  // no call of another thread gets in while the work runs out
  cancel_ = true;
  const auto fences = pending();
  for (const auto& stream : streams()) stream->kick();
  lock.unlock();
  for (const auto& fence : fences) fence->wait();
  lock.lock();
  for (const auto& stream : streams()) leave_capture(*stream);
  for (const auto& [object, keep] : owned_) driver.handles.remove(object);
  // Their destructors may release memory, which needs the ranges but not this lock.
  const auto owned = std::move(owned_);
  owned_.clear();
  per_thread_.clear();
  legacy_ = join_ = nullptr;
  orphans_.clear();
  for (const auto& allocation : driver.ranges.owned_by(this)) {
    if (allocation->kind != MemoryKind::internal) driver.ranges.remove(*allocation);
  }
  heap = nullptr;
  if (!primary) driver.handles.remove(this);
  stopping_ = false;
  stopped_.notify_all();
}

void Context::poison(CUresult error) {
  CUresult none = CUDA_SUCCESS;
  error_.compare_exchange_strong(none, error);
  cancel_ = true;
}

void Context::own(std::shared_ptr<Object> object) {
  driver.handles.add(object);
  const Object* key = object.get();
  owned_[key] = std::move(object);
}

void Context::disown(const Object* object) {
  driver.handles.remove(object);
  owned_.erase(object);
}

StreamPtr Context::per_thread() {
  auto& stream = per_thread_[std::this_thread::get_id()];
  if (!stream) {
    const auto self = std::static_pointer_cast<Context>(shared_from_this());
    stream = std::make_shared<Stream>(self, driver.next_id(), 0u, 0);
  }
  return stream;
}

StreamPtr Context::create_stream(unsigned with_flags, int priority) {
  const auto self = std::static_pointer_cast<Context>(shared_from_this());
  auto stream = std::make_shared<Stream>(self, driver.next_id(), with_flags, priority);
  own(stream);
  return stream;
}

void Context::destroy_stream(const StreamPtr& stream) {
  leave_capture(*stream);
  // What is pending still runs, and who waits for the context waits for it.
  std::erase_if(orphans_, [](const auto& end) { return end->done(); });
  if (auto last = stream->pending()) orphans_.push_back(std::move(last));
  disown(stream.get());
}

std::vector<StreamPtr> Context::streams() const {
  std::vector<StreamPtr> all;
  if (legacy_) all = {legacy_, join_};
  for (const auto& [thread, stream] : per_thread_) all.push_back(stream);
  for (const auto& [object, keep] : owned_) {
    if (keep->kind() == Kind::stream) all.push_back(std::static_pointer_cast<Stream>(keep));
  }
  return all;
}

std::vector<std::shared_ptr<Fence>> Context::pending() {
  std::vector<std::shared_ptr<Fence>> ends;
  for (const auto& stream : streams()) {
    if (auto end = stream->pending()) ends.push_back(std::move(end));
  }
  for (const auto& end : orphans_) {
    if (!end->done()) ends.push_back(end);
  }
  return ends;
}

std::shared_ptr<Completion> Context::submit(Stream& stream, WorkPtr work, std::vector<std::shared_ptr<Fence>> after) {
  if (&stream == legacy_.get()) {
    for (const auto& other : streams()) {
      if (other.get() == &stream || !other->blocking()) continue;
      if (auto end = other->pending()) after.push_back(std::move(end));
    }
  } else if (stream.blocking()) {
    if (auto end = legacy_->pending()) after.push_back(std::move(end));
  }
  return stream.push(std::move(work), std::move(after));
}

StreamPtr ContextCall::stream(CUstream handle) {
  const auto value = reinterpret_cast<uintptr_t>(handle);
  if (value == 1 || (value == 0 && !zero_is_per_thread())) return context->legacy();
  if (value == 2 || value == 0) return context->per_thread();
  auto stream = driver.handles.get<Stream>(handle);
  if (stream->context != context) fail_if_unusable(*stream->context);
  return stream;
}

void ContextCall::wait(const std::vector<std::shared_ptr<Fence>>& fences) {
  lock.unlock();
  for (const auto& fence : fences) fence->wait();
  lock.lock();
  fail_if_unusable(*context);
}

std::shared_ptr<Completion> ContextCall::enqueue(Stream& stream, WorkPtr work,
                                                 std::vector<std::shared_ptr<Fence>> after) {
  if (stream.capture) {
    capture_work(stream, std::move(work));
    return nullptr;
  }
  fail_if_legacy_breaks_capture(stream);
  auto end = stream.context->submit(stream, std::move(work), std::move(after));
  stream.kick();
  return end;
}

void ContextCall::enqueue_and_wait(Stream& stream, WorkPtr work) {
  if (stream.capture) fail_capture(*stream.capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  fail_if_legacy_breaks_capture(stream);
  const auto keep = stream.shared_from_this();
  const auto end = stream.context->submit(stream, std::move(work));
  lock.unlock();
  stream.finish(end);
  lock.lock();
  fail_if_unusable(*stream.context);
  fail_if_unusable(*context);
}

}  // namespace nm::softgpu
