#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

extern char** environ;

namespace nm {
namespace {

// Between fork and exec only async-signal-safe calls are allowed, so everything that allocates is prepared before.
struct Prepared {
  std::vector<char*> argv, env;
  std::string program;
  std::vector<std::pair<int, int>> fds;
  int highest_target = 2;
};

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> out;
  for (const auto& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

[[noreturn]] void report_and_exit(int report_fd) {
  const int error = errno;
  [[maybe_unused]] const auto written = ::write(report_fd, &error, sizeof error);
  _exit(127);
}

// Sources are first lifted above every target, so that no dup2 overwrites a source that is still needed.
void arrange_fds(Prepared& p, int& report_fd) {
  const int floor = p.highest_target + 1;
  report_fd = ::fcntl(report_fd, F_DUPFD_CLOEXEC, floor);
  bool has_stdin = false;
  for (auto& [from, to] : p.fds) {
    from = ::fcntl(from, F_DUPFD_CLOEXEC, floor);
    if (from < 0) report_and_exit(report_fd);
    has_stdin = has_stdin || to == 0;
  }
  for (const auto& [from, to] : p.fds) {
    if (::dup2(from, to) < 0) report_and_exit(report_fd);
  }
  if (!has_stdin) {
    const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || ::dup2(null, 0) < 0) report_and_exit(report_fd);
  }
  for (int fd = 3; fd < floor; ++fd) {
    const bool wanted = std::any_of(p.fds.begin(), p.fds.end(), [fd](const auto& pair) { return pair.second == fd; });
    if (!wanted) ::close(fd);
  }
  // Close-on-exec rather than closed: the report must still travel if exec fails.
  if (::close_range(floor, ~0U, CLOSE_RANGE_CLOEXEC) != 0) report_and_exit(report_fd);
}

void default_signals() {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &action, nullptr);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void become(Prepared& p, const SpawnOptions& options, pid_t parent, int report_fd) {
  if (options.die_with_parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) _exit(127);  // the parent ended before the request took effect
  }
  if (options.own_group) ::setpgid(0, 0);
  if (options.map_low) {
    rlimit limit;
    if (::getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_max == RLIM_INFINITY) {
      limit.rlim_cur = RLIM_INFINITY;
      ::setrlimit(RLIMIT_STACK, &limit);
    }
  }
  arrange_fds(p, report_fd);
  default_signals();
  ::execve(p.program.c_str(), p.argv.data(), p.env.data());
  report_and_exit(report_fd);
}

Error cannot_start(const std::string& program, int error) {
  return Error{"Cannot start " + program + ": " + strerror(error) + "."};
}

}  // namespace

std::string ExitStatus::describe() const {
  if (!signaled) return "exited with status " + std::to_string(code);
  return "was ended by signal " + std::to_string(code) + " (" + strsignal(code) + ")";
}

void Process::signal(int number) const {
  // By number, here and below: <sys/pidfd.h> cannot be linked from C++ on Debian 12.
  if (pidfd_) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0);
}

ExitStatus Process::wait() {
  siginfo_t info = {};
  while (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED) != 0) {
    if (errno != EINTR) return {.signaled = false, .code = 255};
  }
  return {.signaled = info.si_code != CLD_EXITED, .code = info.si_status};
}

Result<Process> spawn(const SpawnOptions& options) {
  Prepared p;
  p.argv = pointers(options.argv);
  p.env = pointers(options.env);
  p.program = options.program.empty() ? options.argv.at(0) : options.program;
  p.fds = options.fds;
  for (const auto& [from, to] : p.fds) p.highest_target = std::max(p.highest_target, to);

  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return cannot_start(p.program, errno);
  Fd report(ends[0]), report_in_child(ends[1]);

  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return cannot_start(p.program, errno);
  if (pid == 0) become(p, options, parent, report_in_child.get());
  report_in_child.reset();

  Process process(pid, Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))));
  if (process.pidfd() < 0) {
    const int error = errno;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return cannot_start(p.program, error);
  }
  int error = 0;
  ssize_t got;
  while ((got = ::read(report.get(), &error, sizeof error)) < 0 && errno == EINTR) {
  }
  if (got == sizeof error) {
    process.wait();
    return cannot_start(p.program, error);
  }
  return process;
}

std::vector<std::string> current_environment() {
  std::vector<std::string> env;
  for (char** entry = environ; entry && *entry; ++entry) env.emplace_back(*entry);
  return env;
}

void unset_env(std::vector<std::string>& env, const std::string& name) {
  std::erase_if(env, [&](const std::string& entry) {
    return entry.size() > name.size() && entry[name.size()] == '=' && entry.compare(0, name.size(), name) == 0;
  });
}

void set_env(std::vector<std::string>& env, const std::string& name, const std::string& value) {
  unset_env(env, name);
  env.push_back(name + "=" + value);
}

}  // namespace nm
