#include "cmd/vm_process.h"

#include <errno.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>

#include "attach/monitor.h"
#include "base/clock.h"

namespace nm::cmd {
namespace {

constexpr Millis kStep{500};      // between attempts to reach a monitor that is not there yet
constexpr Millis kAnswer{10'000};  // of a monitor that is

struct CpuSet {
  explicit CpuSet(const std::vector<int>& cpus) : size(CPU_ALLOC_SIZE(count(cpus))), set(CPU_ALLOC(count(cpus))) {
    CPU_ZERO_S(size, set);
    for (const int cpu : cpus) CPU_SET_S(static_cast<size_t>(cpu), size, set);
  }
  CpuSet(const CpuSet&) = delete;
  ~CpuSet() { CPU_FREE(set); }
  static size_t count(const std::vector<int>& cpus) {
    return cpus.empty() ? 1 : static_cast<size_t>(*std::max_element(cpus.begin(), cpus.end())) + 1;
  }

  size_t size;
  cpu_set_t* set;
};

bool pin(pid_t thread, const std::vector<int>& cpus) {
  const CpuSet set(cpus);
  return ::sched_setaffinity(thread, set.size, set.set) == 0;
}

// What this thread may use, for as long as the child is being started: it inherits it.
class Elsewhere {
 public:
  explicit Elsewhere(const std::vector<int>& cpus) {
    moved_ = ::sched_getaffinity(0, sizeof before_, &before_) == 0 && pin(0, cpus);
  }
  ~Elsewhere() {
    if (moved_) ::sched_setaffinity(0, sizeof before_, &before_);
  }

 private:
  cpu_set_t before_ = {};  // more processors than it holds: then the child just begins where we are
  bool moved_ = false;
};

// QEMU makes the terminal raw, and leaves it so if it is killed.
class Terminal {
 public:
  Terminal() : known_(::isatty(STDIN_FILENO) && ::tcgetattr(STDIN_FILENO, &before_) == 0) {}
  ~Terminal() {
    if (known_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }

 private:
  termios before_ = {};
  bool known_;
};

class Signals {
 public:
  Signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, number);
    ::sigprocmask(SIG_BLOCK, &set, &before_);
    fd_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  ~Signals() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }
  int fd() const { return fd_.get(); }
  bool take() const {
    signalfd_siginfo info;
    return ::read(fd_.get(), &info, sizeof info) == sizeof info;
  }

 private:
  sigset_t before_ = {};
  Fd fd_;
};

// A guest's memory is locked while it has a GPU.
void raise_memlock() {
  const rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
  ::setrlimit(RLIMIT_MEMLOCK, &all);  // without the right to, the shape has checked what there is
}

class Running {
 public:
  Running(Process process, const guest::GuestShape& shape, const std::string& qmp,
          const std::function<void(const std::string&)>& say)
      : process_(std::move(process)), shape_(shape), qmp_(qmp), say_(say) {}

  ExitStatus until_it_ends(const Signals& signals) {
    for (;;) {
      pollfd polls[2] = {{.fd = process_.pidfd(), .events = POLLIN}, {.fd = signals.fd(), .events = POLLIN}};
      // QEMU makes its monitor when its memory is there, which for a big guest takes a while.
      const int ready = ::poll(polls, 2, pinned_ ? -1 : static_cast<int>(kStep.count()));
      if (ready < 0 && errno != EINTR) break;
      if (polls[0].revents) break;
      if (ready > 0 && polls[1].revents && signals.take()) stop();
      if (!pinned_ && ::access(qmp_.c_str(), F_OK) == 0) pin_vcpus();
    }
    return process_.wait();
  }

 private:
  void pin_vcpus() {
    const auto threads = attach::vcpu_threads(qmp_, kAnswer);
    if (!threads) return;  // it is there and does not answer yet
    pinned_ = true;
    std::vector<pid_t> distinct;
    size_t failed = 0;
    int error = 0;
    for (const auto& [index, thread] : *threads) {
      if (std::find(distinct.begin(), distinct.end(), thread) == distinct.end()) distinct.push_back(thread);
    }
    if (distinct.size() != shape_.vcpus.size()) {
      say_(fmt::format("QEMU runs {} virtual CPUs on {} threads: they are not pinned.", shape_.vcpus.size(),
                       distinct.size()));
      return;
    }
    for (const auto& [index, thread] : *threads) {
      const auto at = static_cast<size_t>(index);
      if (at < shape_.vcpus.size() && pin(thread, {shape_.vcpus[at].host_cpu})) continue;
      error = errno;
      ++failed;
    }
    if (failed > 0) {
      say_(fmt::format(
          "{} of {} virtual CPUs could not be pinned: {}. The guest runs all the same, slower if the host is "
          "busy.",
          failed, threads->size(), strerror(error)));
    }
  }

  void stop() {
    if (!asked_ && attach::power_down(qmp_, kAnswer)) {
      asked_ = true;
      say_("The guest has been asked to shut down. The same again ends it at once.");
      return;
    }
    process_.signal(SIGTERM);
  }

  Process process_;
  const guest::GuestShape& shape_;
  const std::string& qmp_;
  const std::function<void(const std::string&)>& say_;
  bool pinned_ = false, asked_ = false;
};

}  // namespace

Result<ExitStatus> run_qemu(const std::vector<std::string>& line, const guest::GuestShape& shape,
                            const std::string& qmp, const std::function<void(const std::string&)>& say) {
  const Terminal terminal;
  const Signals signals;
  raise_memlock();
  Result<Process> process = Error{};
  {
    const Elsewhere elsewhere(shape.other_cpus);
    // With its parent it dies: the GPUs that it has are this process's to give back.
    process = spawn({.argv = line, .env = current_environment(), .fds = {{STDIN_FILENO, 0}}, .die_with_parent = true});
  }
  if (!process) return process.error();
  return Running(std::move(*process), shape, qmp, say).until_it_ends(signals);
}

}  // namespace nm::cmd
