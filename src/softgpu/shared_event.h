// The state of an event that two processes know (CU_EVENT_INTERPROCESS): one page of a memfd, that the second process
// opens through the first one's /proc/PID/fd.
#pragma once

#include <cuda_abi.h>

#include <atomic>
#include <memory>

#include "base/fd.h"
#include "softgpu/fence.h"
#include "softgpu/work.h"

namespace nm::softgpu {

class SharedEvent : public std::enable_shared_from_this<SharedEvent> {
 public:
  static std::shared_ptr<SharedEvent> create();                              // null: no memfd
  static std::shared_ptr<SharedEvent> open(const CUipcEventHandle& handle);  // null: not an event any more
  ~SharedEvent();

  void handle(CUipcEventHandle& out) const;
  // A record is enqueued: the work to run when it is reached.
  WorkPtr begin_record();
  // Null: never recorded.
  std::shared_ptr<Fence> fence();

 private:
  struct Page {
    std::atomic<uint64_t> recorded;  // how many records were enqueued
    std::atomic<uint64_t> reached;   // how many have happened
    std::atomic<int32_t> recorder;   // the process that enqueued the last one
  };
  SharedEvent(Fd fd, Page* page) : fd_(std::move(fd)), page_(page) {}
  friend class SharedFence;
  friend class SharedReach;

  Fd fd_;
  Page* page_;
};

}  // namespace nm::softgpu
