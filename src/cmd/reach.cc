#include "cmd/reach.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/process.h"

namespace nm::cmd {
namespace {

constexpr Millis kServerTimeout{5'000};
// High, where no program and no shell script looks for its own.
constexpr int kLifeFd = 350;

// What the courier writes when it is ready: its socket's path, or a sentence behind a '!'.
std::string read_all(int fd) {
  std::string out;
  char part[1024];
  for (;;) {
    const ssize_t got = ::read(fd, part, sizeof part);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return out;
    out.append(part, static_cast<size_t>(got));
  }
}

}  // namespace

Result<void> reach(const wire::Address& server, std::vector<std::string>& env, bool for_descendants) {
  if (!server.tls) {
    if (const auto answers = wire::dial(server, kServerTimeout); !answers) return answers.error();
    return {};
  }
  const Error no_pipe = {"There are no descriptors for a courier. Close some, or raise `ulimit -n`."};
  int ready_ends[2], life_ends[2];
  if (::pipe2(ready_ends, O_CLOEXEC) != 0) return no_pipe;
  const Fd ready(ready_ends[0]);
  Fd ready_there(ready_ends[1]);
  if (::pipe2(life_ends, O_CLOEXEC) != 0) return no_pipe;
  const Fd life(life_ends[0]), life_here(life_ends[1]);
  const Fd here(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!here) return no_pipe;
  auto courier = spawn({.argv = {"nearmetal", "__courier", server.text(), "3", "4", "5"},
                        .program = "/proc/self/exe",
                        .env = env,
                        .fds = {{ready_there.get(), 3}, {here.get(), 4}, {life.get(), 5}}});
  if (!courier) return courier.error();
  // It leaves as soon as its child is ready: a program must find no child that it did not start.
  ready_there.reset();
  const std::string said = read_all(ready.get());
  const ExitStatus status = courier->wait();
  if (said.starts_with('!')) return Error{said.substr(1)};
  if (said.empty()) return Error{fmt::format("The courier {} before it was ready.", status.describe())};
  set_env(env, "NEARMETAL_COURIER", said);
  if (for_descendants) {
    // The program inherits the pipe's writing end, as do those that it starts: open for as long as one of them lives.
    if (::fcntl(life_here.get(), F_DUPFD, kLifeFd) < 0 && ::fcntl(life_here.get(), F_DUPFD, 3) < 0) return no_pipe;
  }
  return {};
}

Result<void> reach_from_here(const wire::Address& server) {
  std::vector<std::string> env = current_environment();
  if (auto reached = reach(server, env, false); !reached) return reached.error();
  for (const std::string& entry : env) {
    if (entry.starts_with("NEARMETAL_COURIER=")) ::setenv("NEARMETAL_COURIER", entry.c_str() + 18, 1);
  }
  return {};
}

}  // namespace nm::cmd
