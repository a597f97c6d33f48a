// Worker processes: started, kept warm, handed to sessions, reaped. One worker serves one session and ends with it.
//
// A worker is starting (its process runs, the driver is not up yet), idle (it has reported ready) or busy (it has a
// session). Requests are served in the order in which they came; only so many workers start at a time, because a
// hundred drivers that initialise at once are slower than a hundred that take turns. A start that fails is told to the
// request that waited longest and is tried again later and later, so a broken driver is not a fork bomb.
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/process.h"
#include "base/result.h"
#include "server/daemon_loop.h"
#include "server/worker.h"
#include "server/worker_page.h"

namespace nm::server {

// What a worker must be like to serve a session. Warm workers are of the default kind: CUDA, no entries.
struct WorkerKind {
  bool cuda = true;              // false: NVML only, cuInit is not called
  std::vector<std::string> env;  // entries over the daemon's own environment, sorted
  auto operator<=>(const WorkerKind&) const = default;
};

struct PoolOptions {
  std::vector<std::string> command;  // argv of a worker; " --control-fd N", "--page-fd N" and "--no-cuda" are added
  std::string program;               // what to execute; empty: command[0]
  std::vector<std::string> env;      // the workers' environment, before a kind's entries
  size_t warm = 2;
  size_t max_starting = 4;
  // A driver that initialises disturbs the one beside it, and a program's first second counts: as long as another
  // worker is warm, the one that it took is replaced later.
  Millis refill_after{1'000};
  Millis start_timeout{60'000};
  Millis first_back_off{250};
  Millis longest_back_off{30'000};
};

class WorkerPool {
 public:
  using WorkerId = uint64_t;
  using RequestId = uint64_t;
  using Ready = std::function<void(Result<WorkerId>)>;
  using Ended = std::function<void(WorkerId, const ExitStatus&)>;

  // `ended` is called for each worker that has ended and been reaped, busy or not.
  WorkerPool(Loop& loop, PoolOptions options, Ended ended);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;

  void fill() { schedule(); }

  // `ready` is called once, from the loop, never from within request(). The worker is busy from then on.
  RequestId request(WorkerKind kind, Ready ready);
  void cancel(RequestId id);  // harmless if it was served
  size_t waiting() const { return queue_.size(); }

  // Hands a connection to a busy worker. The descriptor is copied.
  Result<void> assign(WorkerId id, const Assignment& assignment, int connection);

  // No more starts; waiting requests fail; workers without a session end.
  void close();
  void signal_all(int number);
  size_t size() const { return workers_.size(); }
  pid_t pid(WorkerId id) const;
  // Where the worker tells what it does; null: there is no such worker.
  const WorkerPage* page(WorkerId id) const;
  // The GPUs that the last worker of the default kind saw; empty as long as there was none.
  const std::vector<wire::GpuStatus>& offered() const { return offered_; }

 private:
  enum class State { starting, idle, busy, ending };
  struct Worker {
    WorkerKind kind;
    State state = State::starting;
    Process process;
    Fd control;
    WorkerPage page;
    Loop::TimerId deadline = 0;
  };
  struct Request {
    RequestId id;
    WorkerKind kind;
    Ready ready;
  };
  struct Failure {
    int count = 0;
    TimePoint retry_at;
    std::string sentence;
  };

  void schedule(Millis delay = Millis(0));
  void pump();
  void refuse_hopeless();
  void serve_idle();
  void start_wanted();
  size_t count(State state, const WorkerKind& kind) const;
  bool start(const WorkerKind& kind);
  void end(Worker& worker, int signal);
  void on_control(WorkerId id, uint32_t events);
  void on_exit(WorkerId id);
  void on_report(WorkerId id, const Report& report);
  void failed(const WorkerKind& kind, const std::string& sentence);
  bool held_back(const WorkerKind& kind);  // a start must wait; asks to be called again when it need not
  void fail_requests(const WorkerKind& kind, bool all, const std::string& sentence);

  Loop& loop_;
  const PoolOptions options_;
  const Ended ended_;
  std::map<WorkerId, std::unique_ptr<Worker>> workers_;
  std::deque<Request> queue_;
  std::map<WorkerKind, Failure> failures_;
  std::vector<wire::GpuStatus> offered_;
  uint64_t next_id_ = 1;
  bool closed_ = false;
  Loop::TimerId pump_timer_ = 0;
  TimePoint pump_at_ = TimePoint::max();
  TimePoint refill_at_{};  // or when none is warm
};

}  // namespace nm::server
