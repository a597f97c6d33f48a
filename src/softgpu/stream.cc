#include "softgpu/stream.h"

#include <thread>

#include "softgpu/context.h"

namespace nm::softgpu {

Stream::Stream(std::shared_ptr<Context> context, uint64_t id, unsigned flags, int priority)
    : Object(kKind), context(std::move(context)), id(id), flags(flags), priority(priority) {
  attributes[CU_LAUNCH_ATTRIBUTE_PRIORITY].priority = priority;
  attributes[CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY].syncPolicy = CU_SYNC_POLICY_AUTO;
  attributes[CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP].memSyncDomainMap.remote = 1;
}

Stream::~Stream() {
  std::lock_guard lock(queue_->mutex);
  queue_->closed = true;
  queue_->changed.notify_all();
}

std::shared_ptr<Completion> Stream::pending() {
  if (last_ && last_->done()) last_ = nullptr;
  return last_;
}

std::shared_ptr<Completion> Stream::push(WorkPtr work, std::vector<std::shared_ptr<Fence>> after) {
  std::erase_if(after, [](const auto& fence) { return fence->done(); });
  auto completion = std::make_shared<Completion>();
  if (!work && after.empty() && !pending()) {
    completion->finish();
    return completion;
  }
  last_ = completion;
  std::unique_lock lock(queue_->mutex);
  queue_->ops.push_back({std::move(work), std::move(after), completion});
  return completion;
}

void Stream::wake_thread(std::unique_lock<std::mutex>& lock) {
  if (!queue_->started) {
    queue_->started = true;
    std::thread(serve, context, queue_).detach();
  }
  lock.unlock();
  queue_->changed.notify_all();
}

void Stream::kick() {
  std::unique_lock lock(queue_->mutex);
  if (!queue_->ops.empty()) wake_thread(lock);
}

void Stream::finish(const std::shared_ptr<Completion>& until) {
  std::unique_lock lock(queue_->mutex);
  auto& ops = queue_->ops;
  const auto free = [](const Op& op) {
    for (const auto& fence : op.after) {
      if (!fence->done()) return false;
    }
    return true;
  };
  if (!queue_->busy && ops.size() == 1 && ops.front().completion == until && free(ops.front())) {
    Op op = std::move(ops.front());
    ops.pop_front();
    queue_->busy = true;
    lock.unlock();
    execute(context, op);
    lock.lock();
    queue_->busy = false;
    if (!ops.empty()) wake_thread(lock);
    return;
  }
  if (!ops.empty()) wake_thread(lock);
  if (lock.owns_lock()) lock.unlock();
  until->wait();
}

void Stream::execute(const std::shared_ptr<Context>& context, Op& op) {
  for (const auto& fence : op.after) {
    while (!context->cancelled() && !fence->wait_for(50)) {
    }
  }
  if (op.work && !context->cancelled()) {
    CUresult result = CUDA_ERROR_UNKNOWN;
    guarded([&] { result = op.work->run(*context); });
    if (result != CUDA_SUCCESS) context->poison(result);
  }
  op.work = nullptr;  // what the work holds is free before its end is seen
  op.completion->finish();
}

void Stream::serve(std::shared_ptr<Context> context, std::shared_ptr<Queue> queue) {
  std::unique_lock lock(queue->mutex);
  for (;;) {
    queue->changed.wait(lock, [&] { return !queue->busy && (!queue->ops.empty() || queue->closed); });
    if (queue->ops.empty()) return;
    Op op = std::move(queue->ops.front());
    queue->ops.pop_front();
    queue->busy = true;
    lock.unlock();
    execute(context, op);
    lock.lock();
    queue->busy = false;
  }
}

}  // namespace nm::softgpu
