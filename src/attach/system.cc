#include "attach/system.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd.h"
#include "base/number.h"
#include "base/process.h"

namespace nm::attach {
namespace {

constexpr size_t kMostOutput = 1 << 20;
constexpr const char* kDirectories[] = {"/usr/sbin/", "/usr/bin/",        "/sbin/",
                                        "/bin/",      "/usr/local/sbin/", "/usr/local/bin/"};

volatile sig_atomic_t interrupts = 0;

Fd open_process(pid_t pid) { return Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

// False: not within the limit.
bool wait_readable(int fd, TimePoint deadline) {
  for (;;) {
    pollfd poll = {.fd = fd, .events = POLLIN};
    const int ready = ::poll(&poll, 1, static_cast<int>(time_left(deadline).count()));
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) return false;
  }
}

// In the child: nothing that allocates.
[[noreturn]] void write_and_exit(const char* path, const char* text, size_t size) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setpgid(0, 0);  // a terminal's Ctrl-C is for the parent
  // A lock is held by whoever has its descriptor: one that is stuck in the kernel must not have it for ever.
  ::close_range(3, ~0U, 0);
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) _exit(errno);
  ssize_t wrote;
  while ((wrote = ::write(fd, text, size)) < 0 && errno == EINTR) {
  }
  _exit(wrote < 0 ? errno : static_cast<size_t>(wrote) == size ? 0 : EIO);
}

Error cannot_write(const std::string& path, const std::string& why) { return Error{"writing to " + path + ": " + why}; }

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  for (const char* directory : kDirectories) {
    const std::string path = directory + name;
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

// A pipe of which one end goes to a child.
struct Pipe {
  Fd ours, theirs;
  bool open(bool child_writes) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    ours.reset(ends[child_writes ? 0 : 1]);
    theirs.reset(ends[child_writes ? 1 : 0]);
    ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
    return true;
  }
};

void take(Fd& from, std::string& into) {
  char buffer[16 << 10];
  const ssize_t got = ::read(from.get(), buffer, sizeof buffer);
  if (got > 0) {
    into.append(buffer, std::min(static_cast<size_t>(got), kMostOutput - std::min(kMostOutput, into.size())));
  } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
    from.reset();
  }
}

void give(Fd& to, std::string_view& rest) {
  const ssize_t gave = ::write(to.get(), rest.data(), rest.size());
  if (gave > 0) rest.remove_prefix(static_cast<size_t>(gave));
  if (rest.empty() || (gave < 0 && errno != EAGAIN && errno != EINTR)) to.reset();
}

}  // namespace

void heed_interrupts() {
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupts = 1; };
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGHUP, &action, nullptr);
}

Result<void> RealSystem::write(const std::string& path, const std::string& text, Millis limit) {
  const pid_t pid = ::fork();
  if (pid < 0) return cannot_write(path, strerror(errno));
  if (pid == 0) write_and_exit(path.c_str(), text.data(), text.size());
  const Fd process = open_process(pid);
  if (!process) {
    // Without a descriptor we can only wait for good, which is what this is to avoid.
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return cannot_write(path, "no process descriptor to be had");
  }
  if (!wait_readable(process.get(), Clock::now() + limit)) {
    ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
    if (!wait_readable(process.get(), Clock::now() + Millis(1'000))) {
      stuck_.push_back({.pid = pid, .started = start_of_process(host_, pid), .path = path});
      return cannot_write(path, "the kernel has not finished it within " + std::to_string(limit.count() / 1000) +
                                    " s and does not let go of the process that wrote");
    }
    ::waitpid(pid, nullptr, 0);
    return cannot_write(path, "the kernel has not finished it within " + std::to_string(limit.count()) + " ms");
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status)) return cannot_write(path, "the process that wrote was killed");
  if (WEXITSTATUS(status) != 0) return cannot_write(path, strerror(WEXITSTATUS(status)));
  return {};
}

std::vector<StuckWriter> RealSystem::stuck() {
  std::erase_if(stuck_,
                [](const StuckWriter& writer) { return ::waitpid(writer.pid, nullptr, WNOHANG) == writer.pid; });
  return stuck_;
}

Result<Finished> RealSystem::run(const std::vector<std::string>& argv, Millis limit, const std::string& input) {
  const std::string program = argv.empty() ? "" : find_program(argv[0]);
  if (program.empty()) return Error{"There is no program " + (argv.empty() ? "" : argv[0]) + " here."};
  Pipe in, out, err;
  if (!in.open(false) || !out.open(true) || !err.open(true)) {
    return Error{std::string("Cannot make a pipe: ") + strerror(errno) + "."};
  }
  auto child = spawn({.argv = argv,
                      .program = program,
                      .env = {"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"},
                      .fds = {{in.theirs.get(), 0}, {out.theirs.get(), 1}, {err.theirs.get(), 2}},
                      .own_group = true});
  if (!child) return child.error();
  in.theirs.reset(), out.theirs.reset(), err.theirs.reset();
  std::string_view rest = input;
  if (rest.empty()) in.ours.reset();
  Finished finished;
  const TimePoint deadline = Clock::now() + limit;
  struct sigaction ignore = {}, before = {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, &before);
  // Until the program has ended: what it left in the background may keep the pipes open for as long as it likes.
  for (bool ended = false; !ended;) {
    pollfd polls[4] = {{.fd = child->pidfd(), .events = POLLIN},
                       {.fd = out.ours.get(), .events = POLLIN},
                       {.fd = err.ours.get(), .events = POLLIN},
                       {.fd = in.ours.get(), .events = POLLOUT}};
    const int ready = ::poll(polls, 4, static_cast<int>(time_left(deadline).count()));
    if (ready < 0) continue;
    if (ready == 0) {
      finished.late = true;
      child->signal(SIGKILL);
      break;
    }
    ended = polls[0].revents != 0;
    if (polls[3].revents) give(in.ours, rest);
    if (polls[1].revents) take(out.ours, finished.out);
    if (polls[2].revents) take(err.ours, finished.err);
  }
  ::sigaction(SIGPIPE, &before, nullptr);
  const ExitStatus status = child->wait();
  for (size_t before_read = ~size_t{0}; out.ours && before_read != finished.out.size();) {
    before_read = finished.out.size();
    take(out.ours, finished.out);
  }
  for (size_t before_read = ~size_t{0}; err.ours && before_read != finished.err.size();) {
    before_read = finished.err.size();
    take(err.ours, finished.err);
  }
  finished.status = status.signaled ? 128 + status.code : status.code;
  return finished;
}

Result<void> RealSystem::end_process(pid_t pid, uint64_t started, Millis limit) {
  const Fd process = open_process(pid);
  // Looked at after it was opened: from here on the number cannot become another process's.
  if (!process || start_of_process(host_, pid) != started) return {};
  if (::syscall(SYS_pidfd_send_signal, process.get(), SIGTERM, nullptr, 0) != 0 && errno != ESRCH) {
    return Error{"Process " + std::to_string(pid) + " cannot be told to end: " + strerror(errno) + "."};
  }
  if (wait_readable(process.get(), Clock::now() + limit)) return {};
  return Error{"Process " + std::to_string(pid) + " has not ended within " + std::to_string(limit.count() / 1000) +
               " s of being told to. End it yourself, then try again."};
}

void RealSystem::pause() { ::usleep(50'000); }

bool RealSystem::interrupted() const { return interrupts != 0; }

uint64_t start_of_process(const inventory::Host& host, pid_t pid) {
  const inventory::Reading stat = host.read("/proc/" + std::to_string(pid) + "/stat", 4096);
  // The name stands in brackets and may itself have any; the start is the 20th number behind the last one.
  const size_t bracket = stat.text.rfind(')');
  if (!stat || bracket == std::string::npos) return 0;
  std::string_view rest = std::string_view(stat.text).substr(bracket + 1);
  for (int field = 2; field < 21 && !rest.empty(); ++field) {
    rest.remove_prefix(std::min(rest.size(), rest.find_first_not_of(' ')));
    rest.remove_prefix(std::min(rest.size(), rest.find(' ')));
  }
  return number_or<uint64_t>(rest, 0);
}

std::string boot_id(const inventory::Host& host) {
  std::string text = host.read("/proc/sys/kernel/random/boot_id", 64).text;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

}  // namespace nm::attach
