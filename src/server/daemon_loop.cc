#include "server/daemon_loop.h"

#include <errno.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>

namespace nm::server {
namespace {

uint64_t pack(int fd, uint32_t generation) { return uint64_t{generation} << 32 | static_cast<uint32_t>(fd); }

}  // namespace

Loop::Loop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}

void Loop::watch(int fd, uint32_t events, Handler handler) {
  const uint32_t generation = next_generation_++;
  watches_[fd] = {generation, std::make_shared<Handler>(std::move(handler))};
  epoll_event event = {.events = events, .data = {.u64 = pack(fd, generation)}};
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

void Loop::change(int fd, uint32_t events) {
  const auto found = watches_.find(fd);
  if (found == watches_.end()) return;
  epoll_event event = {.events = events, .data = {.u64 = pack(fd, found->second.generation)}};
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void Loop::forget(int fd) {
  if (watches_.erase(fd) > 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

Loop::TimerId Loop::after(Millis delay, std::function<void()> action) {
  const TimerId id = next_timer_++;
  const TimePoint when = Clock::now() + delay;
  timers_.emplace(std::pair(when, id), std::move(action));
  timer_times_.emplace(id, when);
  return id;
}

void Loop::cancel(TimerId id) {
  const auto found = timer_times_.find(id);
  if (found == timer_times_.end()) return;
  timers_.erase({found->second, id});
  timer_times_.erase(found);
}

void Loop::fire_timers() {
  const TimePoint now = Clock::now();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    auto first = timers_.begin();
    const auto action = std::move(first->second);
    timer_times_.erase(first->first.second);
    timers_.erase(first);
    action();
  }
}

int Loop::wait_ms() const {
  if (timers_.empty()) return -1;
  return static_cast<int>(std::min<int64_t>(time_left(timers_.begin()->first.first).count(), 60'000));
}

void Loop::run() {
  std::array<epoll_event, 64> events;
  while (!stopped_) {
    const int ready = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait_ms());
    for (int i = 0; i < ready && !stopped_; ++i) {
      const int fd = static_cast<int>(events[i].data.u64 & 0xffffffff);
      const auto generation = static_cast<uint32_t>(events[i].data.u64 >> 32);
      const auto found = watches_.find(fd);
      if (found == watches_.end() || found->second.generation != generation) continue;
      const auto handler = found->second.handler;  // kept alive: it may forget itself
      (*handler)(events[i].events);
    }
    fire_timers();
  }
}

}  // namespace nm::server
