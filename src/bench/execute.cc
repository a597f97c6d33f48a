#include "bench/execute.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "bench/json_line.h"

namespace nm::bench {
namespace {

constexpr size_t kMaxWords = 16 << 10;
constexpr Millis kTick{1'000};
// For what a child of the command may still have to say when the command itself has ended.
constexpr Millis kDrain{500};

bool is_program(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

struct Pipe {
  Fd out, in;
};
std::optional<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

std::string last_line(std::string text) {
  while (!text.empty() && strchr("\r\n \t", text.back())) text.pop_back();
  const size_t begin = text.rfind('\n');
  return plain(begin == text.npos ? text : text.substr(begin + 1), 400);
}

class Watch {
 public:
  Watch(const ExecuteOptions& options, Process& process, Fd out, Fd err)
      : options_(options), process_(process), out_(std::move(out)), err_(std::move(err)) {}

  Execution until_end() {
    const TimePoint began = Clock::now();
    deadline_ = began + options_.time_limit;
    while (!over_) step();
    // Before it is reaped, its number names its group and nobody else's.
    ::kill(-process_.pid(), SIGKILL);
    result_.status = process_.wait();
    result_.seconds = std::chrono::duration<double>(Clock::now() - began).count();
    result_.last_words = last_line(std::move(words_));
    return std::move(result_);
  }

 private:
  void step() {
    pollfd polled[4] = {{out_.get(), POLLIN, 0},
                        {err_.get(), POLLIN, 0},
                        {gone_ ? -1 : process_.pidfd(), POLLIN, 0},
                        {ending_ || gone_ ? -1 : options_.interrupt_fd, POLLIN, 0}};
    const Millis wait = std::min(time_left(deadline_), kTick);
    if (::poll(polled, 4, static_cast<int>(wait.count())) < 0 && errno != EINTR) over_ = true;
    if (polled[0].revents && !take(out_, [&](std::string_view bytes) { return output(bytes); })) end(result_.cut);
    if (polled[1].revents) take(err_, [&](std::string_view bytes) { return complain(bytes); });
    if (polled[2].revents) {
      gone_ = true;
      deadline_ = std::min(deadline_, Clock::now() + kDrain);
    }
    if (polled[3].revents) end(result_.interrupted);
    if (gone_ && !out_ && !err_) over_ = true;
    if (time_left(deadline_) == Millis::zero()) out_of_time();
    if (options_.tick) options_.tick();
  }

  // False: `use` has had enough.
  template <typename Use>
  bool take(Fd& fd, Use use) {
    char buffer[65536];
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got > 0) return use(std::string_view(buffer, static_cast<size_t>(got)));
    if (got == 0 || (errno != EINTR && errno != EAGAIN)) fd.reset();
    return true;
  }

  bool output(std::string_view bytes) { return ending_ || !options_.output || options_.output(bytes); }
  bool complain(std::string_view bytes) {
    words_ += bytes;
    if (words_.size() > kMaxWords) words_.erase(0, words_.size() - kMaxWords);
    return true;
  }

  void end(bool& why) {
    if (ending_ || gone_) return;
    why = ending_ = true;
    ::kill(-process_.pid(), SIGTERM);
    deadline_ = Clock::now() + options_.grace;
  }

  void out_of_time() {
    if (gone_) {
      over_ = true;  // somebody else holds its pipes
    } else if (!ending_) {
      end(result_.hung);
    } else {
      ::kill(-process_.pid(), SIGKILL);
      deadline_ = Clock::now() + options_.grace;  // the pidfd tells; a process that the kernel holds may take longer
    }
  }

  const ExecuteOptions& options_;
  Process& process_;
  Fd out_, err_;
  TimePoint deadline_;
  bool ending_ = false, gone_ = false, over_ = false;
  std::string words_;
  Execution result_;
};

}  // namespace

std::string find_program(const std::string& name) {
  if (name.find('/') != name.npos) return is_program(name) ? name : "";
  const char* path = ::getenv("PATH");
  const std::string search = path ? path : "/usr/local/bin:/usr/bin:/bin";
  for (size_t start = 0; start <= search.size() && !name.empty();) {
    const size_t end = std::min(search.find(':', start), search.size());
    const std::string candidate = (end == start ? "." : search.substr(start, end - start)) + "/" + name;
    if (is_program(candidate)) return candidate;
    start = end + 1;
  }
  return "";
}

Result<Execution> execute(const ExecuteOptions& options) {
  const std::string program = find_program(options.argv.at(0));
  if (program.empty()) {
    return Error{fmt::format("There is no program {}. Check its name and PATH.", options.argv[0])};
  }
  auto out = make_pipe(), err = make_pipe();
  if (!out || !err) return Error{fmt::format("Cannot make a pipe: {}.", strerror(errno))};
  auto process = spawn({.argv = options.argv,
                        .program = program,
                        .env = options.env,
                        .fds = {{out->in.get(), 1}, {err->in.get(), 2}},
                        .die_with_parent = true,
                        .own_group = true});
  if (!process) return process.error();
  out->in.reset();
  err->in.reset();
  return Watch(options, *process, std::move(out->out), std::move(err->out)).until_end();
}

}  // namespace nm::bench
