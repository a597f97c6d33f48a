#include "server/daemon_gate.h"

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

constexpr Millis kLongestBackOff{30'000};
constexpr size_t kEnrolmentsPerPeer = 2;
constexpr int kControlInGate = 3;

// "tcp:192.0.2.1:51000": without the port, which is another one each time.
std::string host_of(std::string_view from) { return std::string(from.substr(0, from.rfind(':'))); }

}  // namespace

GateKeeper::GateKeeper(Loop& loop, GateCommands commands, LetIn let_in)
    : loop_(loop), commands_(std::move(commands)), let_in_(std::move(let_in)), back_off_(commands_.first_back_off) {}

// Whoever waits for the daemon to end may count on nothing of it being left.
GateKeeper::~GateKeeper() {
  const auto end = [](Process& process) {
    process.signal(SIGKILL);
    process.wait();
  };
  if (runs()) end(gate_);
  for (auto& [pidfd, helper] : helpers_) end(helper);
}

Result<void> GateKeeper::start(std::vector<int> listeners) {
  listeners_ = std::move(listeners);
  if (auto started = start_gate(); !started) return started.error();
  refresh();
  return {};
}

Result<void> GateKeeper::start_gate() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return Error{fmt::format("Cannot make a socket for the gate: {}.", strerror(errno))};
  }
  control_.reset(ends[0]);
  const Fd theirs(ends[1]);
  SpawnOptions spawning = {.argv = commands_.gate,
                           .program = commands_.program,
                           .env = commands_.env,
                           .fds = {{theirs.get(), kControlInGate}},
                           .die_with_parent = true,
                           .own_group = true};  // Ctrl-C is for the daemon, whose sessions go on for a while
  spawning.argv.insert(spawning.argv.end(), {"--control-fd", std::to_string(kControlInGate)});
  for (const int listener : listeners_) {
    const int there = kControlInGate + static_cast<int>(spawning.fds.size());
    spawning.fds.emplace_back(listener, there);
    spawning.argv.insert(spawning.argv.end(), {"--listen-fd", std::to_string(there)});
  }
  auto process = spawn(spawning);
  if (!process) return process.error();
  gate_ = std::move(*process);
  loop_.watch(gate_.pidfd(), EPOLLIN, [this](uint32_t) { on_gate_end(); });
  if (!paused_) loop_.watch(control_.get(), EPOLLIN, [this](uint32_t) { on_control(); });
  return {};
}

void GateKeeper::on_control() {
  wire::Handover handover;
  Fd fd;
  if (!wire::receive_handover(control_.get(), Millis(0), &handover, &fd)) {
    char gone;
    // Its end is told by its pidfd; until then there is nothing to be read here.
    if (::recv(control_.get(), &gone, 1, MSG_DONTWAIT | MSG_PEEK) == 0) loop_.forget(control_.get());
    return;
  }
  back_off_ = commands_.first_back_off;
  if (handover.kind == wire::Handover::session) return let_in_(handover, std::move(fd));
  if (handover.kind == wire::Handover::enrolment) enrol(handover, std::move(fd));
}

void GateKeeper::on_gate_end() {
  loop_.forget(gate_.pidfd());
  if (!closed_ && !paused_) loop_.forget(control_.get());
  const ExitStatus end = gate_.wait();
  gate_ = Process();
  control_.reset();
  if (closed_) return;
  log::error(fmt::format("The gate {}: encrypted connections are lost, others are not. It is started again in {} ms.",
                         end.describe(), back_off_.count()));
  loop_.after(back_off_, [this] {
    if (closed_) return;
    if (auto started = start_gate(); !started) log::error(started.error().message);
  });
  back_off_ = std::min(back_off_ * 2, kLongestBackOff);
}

void GateKeeper::pause(bool paused) {
  if (closed_ || paused == paused_) return;
  paused_ = paused;
  if (!control_) return;
  if (paused) {
    loop_.forget(control_.get());
  } else {
    loop_.watch(control_.get(), EPOLLIN, [this](uint32_t) { on_control(); });
  }
}

void GateKeeper::close() {
  if (closed_) return;
  if (control_ && !paused_) loop_.forget(control_.get());
  closed_ = true;
  control_.reset();
}

void GateKeeper::enrol(const wire::Handover& handover, Fd fd) {
  const std::string from(wire::text_in(handover.from)), host = host_of(from);
  if (enrolments_in_all_ >= commands_.enrolments || enrolments_[host] >= kEnrolmentsPerPeer) {
    if (enrolments_[host] == 0) enrolments_.erase(host);
    return log::debug("Too many want a certificate at once: " + from + " has to come again.");
  }
  std::vector<std::string> argv = commands_.enrol;
  argv.insert(argv.end(), {"--fd", "3", "--peer", std::string(wire::text_in(handover.peer)), "--from", from});
  enrolments_[host]++;
  enrolments_in_all_++;
  auto ended = [this, host](const ExitStatus&) {
    enrolments_in_all_--;
    if (--enrolments_[host] == 0) enrolments_.erase(host);
  };
  if (auto run = run_helper(std::move(argv), {{fd.get(), 3}}, ended); !run) {
    log::error(run.error().message);
    ended({});
  }
}

void GateKeeper::refresh() {
  if (closed_) return;
  if (auto run = run_helper(commands_.refresh, {}, [](const ExitStatus&) {}); !run) log::error(run.error().message);
  loop_.after(commands_.refresh_every, [this] { refresh(); });
}

Result<void> GateKeeper::run_helper(std::vector<std::string> argv, std::vector<std::pair<int, int>> fds,
                                    std::function<void(const ExitStatus&)> ended) {
  auto process = spawn({.argv = std::move(argv),
                        .program = commands_.program,
                        .env = commands_.env,
                        .fds = std::move(fds),
                        .die_with_parent = true,
                        .own_group = true});
  if (!process) return process.error();
  const int pidfd = process->pidfd();
  helpers_.emplace(pidfd, std::move(*process));
  loop_.watch(pidfd, EPOLLIN, [this, pidfd, ended = std::move(ended)](uint32_t) {
    loop_.forget(pidfd);
    auto node = helpers_.extract(pidfd);
    ended(node.mapped().wait());
  });
  return {};
}

}  // namespace nm::server
