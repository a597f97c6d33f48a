#include "bench/live.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/signalfd.h>

#include <chrono>
#include <cmath>

#include "bench/execute.h"
#include "bench/workload_lines.h"

namespace nm::bench {
namespace {

sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, number);
  return set;
}

// What a program prints is read into `run` by whichever reader is its own.
template <typename Reader>
void measure_with(Reader reader, ExecuteOptions& options, Run& run) {
  options.output = [&](std::string_view bytes) { return reader.feed(bytes); };
  const auto done = execute(options);
  if (!done) {
    run.status = Status::not_started;
    run.sentence = done.error().message;
    return;
  }
  run.seconds = done->seconds;
  reader.finish(done->status, done->last_words);
  if (done->interrupted) {
    run.status = Status::interrupted;
    run.sentence = "It was ended by Ctrl-C.";
  } else if (done->hung) {
    run.status = Status::hung;
    run.sentence = fmt::format("It did not end within {:g} s and was ended (--timeout).",
                               static_cast<double>(options.time_limit.count()) / 1000);
  }
}

}  // namespace

Interrupt::Interrupt() {
  const sigset_t set = ending_signals();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  fd_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

Interrupt::~Interrupt() {
  // What came was taken; a second one, now, ends the program.
  signalfd_siginfo info;
  while (::read(fd_.get(), &info, sizeof info) > 0) {
  }
  const sigset_t set = ending_signals();
  ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

bool Interrupt::came() const {
  pollfd polled = {fd_.get(), POLLIN, 0};
  return ::poll(&polled, 1, 0) > 0;
}

std::vector<std::string> command_of(const Program& program, const Way& way, const LiveOptions& options) {
  std::vector<std::string> out = way.target.prefix;
  const auto add = [&](const std::vector<std::string>& words) { out.insert(out.end(), words.begin(), words.end()); };
  if (program.scenario) {
    add(program.scenario->command);
    return out;
  }
  const bool here = way.target.here || options.workload_there.empty();
  add({here ? options.workload_here : options.workload_there, "run", program.name, "--api", program.api, "--size",
       program.size, "--seed", std::to_string(options.seed)});
  if (options.passes > 0) add({"--passes", std::to_string(options.passes)});
  return out;
}

Millis LiveBench::limit_of(const Program& program) const {
  if (options_.time_limit) return *options_.time_limit;
  if (program.scenario) return program.scenario->timeout;
  return program.size == "ci" ? Millis(120'000) : Millis(900'000);
}

void LiveBench::measure(const Program& program, const Way& way, Run& run) {
  run.command = command_of(program, way, options_);
  run.started = now_text();
  run.seed = options_.seed;
  run.passes = options_.passes;
  if (interrupt_.came()) {
    run.status = Status::interrupted;
    run.sentence = "It was not begun: Ctrl-C.";
    return;
  }
  ExecuteOptions execution{.argv = run.command,
                           .env = current_environment(),
                           .time_limit = limit_of(program),
                           .grace = options_.grace,
                           .interrupt_fd = interrupt_.fd(),
                           .output = {},
                           .tick = [this] { show_(last_); }};
  if (program.scenario) {
    measure_with(ScenarioReader(*program.scenario, run), execution, run);
  } else {
    measure_with(WorkloadReader(run), execution, run);
  }
}

Result<void> LiveBench::keep(const Run& run) { return writer_ ? writer_->run(run) : Result<void>(); }

std::string now_text() {
  const auto now = std::chrono::system_clock::now();
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(now)),
                     millis % 1000);
}

std::string random_name() {
  uint64_t number = 0;
  [[maybe_unused]] const auto got = ::getrandom(&number, sizeof number, 0);
  return fmt::format("{:016x}", number);
}

}  // namespace nm::bench
