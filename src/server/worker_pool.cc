#include "server/worker_pool.h"

#include <errno.h>
#include <fmt/format.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/log.h"

namespace nm::server {
namespace {

constexpr int kControlFdInWorker = 3, kPageFdInWorker = 4;
// A third failure in a row is no accident.
constexpr int kGiveUpAfter = 3;
// cuInit's answer where no device is visible, as with CUDA_VISIBLE_DEVICES="": the session passes it on.
constexpr int32_t kNoDevice = 100;

const WorkerKind kDefaultKind;

Result<void> send_with_fd(int socket, const void* bytes, size_t size, int fd) {
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof fd)] = {};
  iovec data = {.iov_base = const_cast<void*>(bytes), .iov_len = size};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = space;
  message.msg_controllen = sizeof space;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  if (::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == static_cast<ssize_t>(size)) return {};
  return Error{fmt::format("The session's worker does not take the connection ({}). Connect again.", strerror(errno))};
}

}  // namespace

WorkerPool::WorkerPool(Loop& loop, PoolOptions options, Ended ended)
    : loop_(loop), options_(std::move(options)), ended_(std::move(ended)) {}

WorkerPool::~WorkerPool() {
  loop_.cancel(pump_timer_);
  for (auto& [id, worker] : workers_) {
    loop_.cancel(worker->deadline);
    loop_.forget(worker->control.get());
    loop_.forget(worker->process.pidfd());
    worker->process.signal(SIGKILL);
    worker->process.wait();
  }
}

void WorkerPool::schedule(Millis delay) {
  const TimePoint at = Clock::now() + delay;
  if (at >= pump_at_) return;
  loop_.cancel(pump_timer_);
  pump_at_ = at;
  pump_timer_ = loop_.after(delay, [this] {
    pump_at_ = TimePoint::max();
    pump();
  });
}

WorkerPool::RequestId WorkerPool::request(WorkerKind kind, Ready ready) {
  const RequestId id = next_id_++;
  queue_.push_back({id, std::move(kind), std::move(ready)});
  schedule();
  return id;
}

void WorkerPool::cancel(RequestId id) {
  std::erase_if(queue_, [id](const Request& request) { return request.id == id; });
  schedule();
}

void WorkerPool::pump() {
  if (closed_) return fail_requests({}, true, "The server is shutting down.");
  refuse_hopeless();
  serve_idle();
  start_wanted();
}

// Whoever asks while nothing has started for a while is told at once instead of being kept waiting.
void WorkerPool::refuse_hopeless() {
  for (const auto& [kind, failure] : failures_) {
    if (failure.count < kGiveUpAfter || time_left(failure.retry_at) == Millis(0)) continue;
    const WorkerKind hopeless = kind;
    const std::string sentence = failure.sentence;
    fail_requests(hopeless, true, sentence);
  }
}

// Each idle worker to the oldest request of its kind; idle workers nobody will ask for again end.
void WorkerPool::serve_idle() {
  size_t spare = 0;
  for (auto& [id, worker] : workers_) {
    if (worker->state != State::idle) continue;
    const auto request = std::find_if(queue_.begin(), queue_.end(), [&kind = worker->kind](const Request& candidate) {
      return candidate.kind == kind;
    });
    if (request != queue_.end()) {
      const Ready ready = std::move(request->ready);
      queue_.erase(request);
      worker->state = State::busy;
      refill_at_ = Clock::now() + options_.refill_after;
      ready(id);  // may ask, cancel and assign; workers are only ever removed in on_exit
    } else if (worker->kind != kDefaultKind || ++spare > options_.warm) {
      end(*worker, SIGTERM);
    }
  }
}

void WorkerPool::start_wanted() {
  size_t starting = 0;
  std::map<WorkerKind, size_t> on_the_way;
  for (const auto& [id, worker] : workers_) {
    if (worker->state != State::starting) continue;
    ++starting;
    ++on_the_way[worker->kind];
  }
  for (size_t i = 0; i < queue_.size() && starting < options_.max_starting; ++i) {
    const WorkerKind kind = queue_[i].kind;
    if (on_the_way[kind] > 0) {
      --on_the_way[kind];
      continue;
    }
    if (held_back(kind)) continue;
    if (start(kind)) ++starting;
  }
  // What remains on the way is nobody's yet: it counts towards the warm ones.
  size_t warm = on_the_way[kDefaultKind] + count(State::idle, kDefaultKind);
  if (const Millis left = time_left(refill_at_); warm > 0 && warm < options_.warm && left > Millis(0)) {
    schedule(left);
    return;
  }
  while (warm < options_.warm && starting < options_.max_starting && !held_back(kDefaultKind)) {
    if (!start(kDefaultKind)) break;
    ++warm;
    ++starting;
  }
}

size_t WorkerPool::count(State state, const WorkerKind& kind) const {
  return static_cast<size_t>(std::count_if(workers_.begin(), workers_.end(), [&](const auto& entry) {
    return entry.second->state == state && entry.second->kind == kind;
  }));
}

bool WorkerPool::start(const WorkerKind& kind) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    failed(kind, fmt::format("The server cannot start a worker: {}.", strerror(errno)));
    return false;
  }
  Fd ours(ends[0]), theirs(ends[1]);
  SpawnOptions spawn_options = {.argv = options_.command,
                                .program = options_.program,
                                .env = options_.env,
                                .fds = {{theirs.get(), kControlFdInWorker}},
                                .die_with_parent = true,
                                .own_group = true,
                                .map_low = true};
  spawn_options.argv.insert(spawn_options.argv.end(), {"--control-fd", std::to_string(kControlFdInWorker)});
  if (!kind.cuda) spawn_options.argv.push_back("--no-cuda");
  for (const std::string& entry : kind.env) {
    const auto equals = entry.find('=');
    set_env(spawn_options.env, entry.substr(0, equals), entry.substr(equals + 1));
  }
  auto worker = std::make_unique<Worker>();
  const Fd page = worker->page.make();
  if (page) {
    spawn_options.fds.emplace_back(page.get(), kPageFdInWorker);
    spawn_options.argv.insert(spawn_options.argv.end(), {"--page-fd", std::to_string(kPageFdInWorker)});
  }
  auto process = spawn(spawn_options);
  if (!process) {
    failed(kind, "The server cannot start a worker. " + process.error().message);
    return false;
  }

  const WorkerId id = next_id_++;
  worker->kind = kind;
  worker->process = std::move(*process);
  worker->control = std::move(ours);
  loop_.watch(worker->control.get(), EPOLLIN, [this, id](uint32_t events) { on_control(id, events); });
  loop_.watch(worker->process.pidfd(), EPOLLIN, [this, id](uint32_t) { on_exit(id); });
  worker->deadline = loop_.after(options_.start_timeout, [this, id] {
    Worker& slow = *workers_.at(id);
    log::warn(fmt::format("Worker {} has not become ready within {} s and is ended.", slow.process.pid(),
                          options_.start_timeout.count() / 1000.0));
    slow.process.signal(SIGKILL);
  });
  log::debug(fmt::format("Worker {} starts.", worker->process.pid()));
  workers_.emplace(id, std::move(worker));
  return true;
}

// Closing the control socket is the request to end; the signal is for a worker that does not look at it.
void WorkerPool::end(Worker& worker, int signal) {
  loop_.forget(worker.control.get());
  worker.control.reset();
  worker.state = State::ending;
  worker.process.signal(signal);
}

// A worker may have been taken over by its client: what it says is checked, and it can only speak about itself.
void WorkerPool::on_control(WorkerId id, uint32_t) {
  Worker& worker = *workers_.at(id);
  Report report;
  const ssize_t got = ::recv(worker.control.get(), &report, sizeof report, MSG_DONTWAIT | MSG_TRUNC);
  if (got == sizeof report) return on_report(id, report);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  loop_.forget(worker.control.get());  // its end is near; on_exit follows
  if (got > 0) {
    log::warn(fmt::format("Worker {} sent a report of {} bytes and is ended.", worker.process.pid(), got));
    worker.process.signal(SIGKILL);
  }
}

void WorkerPool::on_report(WorkerId id, const Report& report) {
  Worker& worker = *workers_.at(id);
  if (report.kind != Report::ready || worker.state != State::starting) return;
  loop_.cancel(worker.deadline);
  if (report.detail != 0 && report.detail != kNoDevice) {
    const WorkerKind kind = worker.kind;
    end(worker, SIGKILL);
    return failed(kind, fmt::format("The server's driver does not start: cuInit answered {}. Look at the server's log "
                                    "and, on its host, at nvidia-smi.",
                                    report.detail));
  }
  worker.page.read_gpus();
  if (worker.kind == kDefaultKind) offered_ = worker.page.gpus();
  failures_.erase(worker.kind);
  worker.state = State::idle;
  schedule();
}

void WorkerPool::on_exit(WorkerId id) {
  const auto node = workers_.extract(id);
  Worker& worker = *node.mapped();
  loop_.cancel(worker.deadline);
  loop_.forget(worker.control.get());
  loop_.forget(worker.process.pidfd());
  const ExitStatus status = worker.process.wait();
  switch (worker.state) {
    case State::starting:
      failed(worker.kind,
             fmt::format("The server's worker {} before it was ready. Look at the server's log.", status.describe()));
      break;
    case State::idle:
      failed(worker.kind, fmt::format("A warm worker of the server {}. Look at the server's log.", status.describe()));
      break;
    case State::busy:
    case State::ending:
      break;
  }
  ended_(id, status);
  schedule();
}

void WorkerPool::failed(const WorkerKind& kind, const std::string& sentence) {
  if (closed_) return;
  // Kinds come from clients' environments: forget those whose time has passed.
  std::erase_if(failures_, [](const auto& entry) { return entry.second.retry_at + Millis(60'000) < Clock::now(); });
  Failure& failure = failures_[kind];
  const int doublings = std::min(failure.count++, 16);
  const Millis wait = std::min(options_.first_back_off * (1 << doublings), options_.longest_back_off);
  failure.retry_at = Clock::now() + wait;
  failure.sentence = sentence;
  log::error(fmt::format("{} Next attempt in {} s.", sentence, wait.count() / 1000.0));
  fail_requests(kind, failure.count >= kGiveUpAfter, sentence);
  schedule();
}

bool WorkerPool::held_back(const WorkerKind& kind) {
  const auto found = failures_.find(kind);
  if (found == failures_.end()) return false;
  const Millis left = time_left(found->second.retry_at);
  if (left == Millis(0)) return false;
  schedule(left);
  return true;
}

void WorkerPool::fail_requests(const WorkerKind& kind, bool all, const std::string& sentence) {
  for (size_t i = 0; i < queue_.size();) {
    if (!closed_ && queue_[i].kind != kind) {
      ++i;
      continue;
    }
    const Ready ready = std::move(queue_[i].ready);
    queue_.erase(queue_.begin() + static_cast<ptrdiff_t>(i));
    ready(Error{sentence});
    if (!all) return;
  }
}

Result<void> WorkerPool::assign(WorkerId id, const Assignment& assignment, int connection) {
  const auto found = workers_.find(id);
  if (found == workers_.end() || found->second->state != State::busy) {
    return Error{"The session's worker has ended. Connect again."};
  }
  return send_with_fd(found->second->control.get(), &assignment, sizeof assignment, connection);
}

void WorkerPool::close() {
  closed_ = true;
  for (auto& [id, worker] : workers_) {
    if (worker->state == State::starting || worker->state == State::idle) end(*worker, SIGTERM);
  }
  schedule();
}

void WorkerPool::signal_all(int number) {
  for (auto& [id, worker] : workers_) worker->process.signal(number);
}

const WorkerPage* WorkerPool::page(WorkerId id) const {
  const auto found = workers_.find(id);
  return found == workers_.end() ? nullptr : &found->second->page;
}

pid_t WorkerPool::pid(WorkerId id) const {
  const auto found = workers_.find(id);
  return found == workers_.end() ? -1 : found->second->process.pid();
}

}  // namespace nm::server
