// One thread, one epoll: descriptors with handlers, and timers. Handlers may watch, forget and close anything,
// including themselves.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>

#include "base/clock.h"
#include "base/fd.h"

namespace nm::server {

class Loop {
 public:
  // `events` as epoll reports them (EPOLLIN, EPOLLHUP, ...).
  using Handler = std::function<void(uint32_t events)>;
  using TimerId = uint64_t;

  Loop();

  // Level-triggered. The descriptor stays the caller's, who forgets it before closing it.
  void watch(int fd, uint32_t events, Handler handler);
  void change(int fd, uint32_t events);
  void forget(int fd);

  TimerId after(Millis delay, std::function<void()> action);
  void cancel(TimerId id);  // harmless if it has fired

  // Until stop().
  void run();
  void stop() { stopped_ = true; }

 private:
  struct Watch {
    uint32_t generation;
    std::shared_ptr<Handler> handler;
  };
  void fire_timers();
  int wait_ms() const;

  Fd epoll_;
  // Tells a descriptor from an earlier one of the same number within one batch of events.
  uint32_t next_generation_ = 0;
  std::unordered_map<int, Watch> watches_;
  TimerId next_timer_ = 1;
  std::map<std::pair<TimePoint, TimerId>, std::function<void()>> timers_;
  std::unordered_map<TimerId, TimePoint> timer_times_;
  bool stopped_ = false;
};

}  // namespace nm::server
