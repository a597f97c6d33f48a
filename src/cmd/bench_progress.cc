#include "cmd/bench_progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "cmd/top_rows.h"

namespace nm::cmd {
namespace {

constexpr Millis kPlain{15'000}, kDrawn{200};

size_t columns() {
  winsize size = {};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1 : 79;
}

}  // namespace

std::string progress_text(const bench::Progress& progress) {
  const bench::Program& program = *progress.program;
  std::string text = fmt::format("[{}/{}] {}{}: {}{}", std::min(progress.done + 1, progress.all), progress.all,
                                 progress.way->target.label, progress.way->self ? " again" : "", program.name,
                                 program.api.empty() ? "" : " (" + program.api + ")");
  if (progress.seconds_left >= 0) {
    text += fmt::format(", {} left", short_time(static_cast<uint64_t>(progress.seconds_left * 1e6)));
  }
  return text;
}

void BenchProgress::show(const bench::Progress& progress) {
  // What goes wrong is said at once, and stays.
  if (progress.last && progress.last->status != bench::Status::ok &&
      progress.last->status != bench::Status::interrupted) {
    clear();
    fmt::print(stderr, "{}: {} ({}): {}\n", progress.last->target, progress.last->program,
               bench::status_name(progress.last->status), progress.last->sentence);
  }
  if (progress.last) return;
  const auto now = Clock::now();
  if (last_ != TimePoint{} && now - last_ < (terminal_ ? kDrawn : kPlain)) return;
  last_ = now;
  line(progress_text(progress));
}

void BenchProgress::line(const std::string& text) {
  if (!terminal_) {
    fmt::print(stderr, "{}\n", text);
    return;
  }
  fmt::print(stderr, "\r\x1b[K{}", text.substr(0, columns()));
  std::fflush(stderr);
  drawn_ = true;
}

void BenchProgress::clear() {
  if (!drawn_) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace nm::cmd
