#include "cmd/top_screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>

namespace nm::cmd {
namespace {

// What every terminal of today understands (ECMA-48, and xterm's second screen).
constexpr char kTake[] = "\x1b[?1049h\x1b[?25l";  // the second screen, without a cursor
constexpr char kGiveBack[] = "\x1b[?25h\x1b[?1049l";
constexpr char kHome[] = "\x1b[H";
constexpr char kToEndOfLine[] = "\x1b[K";
constexpr char kToEndOfScreen[] = "\x1b[J";

winsize size_of_terminal() {
  winsize size{};
  ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
  if (size.ws_col == 0) size.ws_col = 80;
  if (size.ws_row == 0) size.ws_row = 24;
  return size;
}

void write_all(const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data() + at, text.size() - at);
    if (n < 0 && errno != EINTR) return;
    if (n > 0) at += static_cast<size_t>(n);
  }
}

}  // namespace

TopScreen::TopScreen() : keys_(::isatty(STDIN_FILENO)) {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH}) sigaddset(&set, signal);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (keys_ && ::tcgetattr(STDIN_FILENO, &before_) == 0) {
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    raw.c_cc[VSUSP] = _POSIX_VDISABLE;  // stopped, it would leave the second screen behind
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  } else {
    keys_ = false;
  }
  write_all(kTake);
}

TopScreen::~TopScreen() {
  write_all(kGiveBack);
  if (keys_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

size_t TopScreen::width() const { return size_of_terminal().ws_col; }

void TopScreen::draw(const std::vector<std::string>& lines) {
  std::string text = kHome;
  const size_t count = std::min<size_t>(lines.size(), size_of_terminal().ws_row);
  for (size_t i = 0; i < count; i++) {
    if (i) text += "\r\n";
    text += lines[i];
    text += kToEndOfLine;
  }
  // Behind a line that fills the last row there is nothing to clear, and the cursor still stands on it.
  if (count < size_of_terminal().ws_row) text += kToEndOfScreen;
  write_all(text);
}

TopScreen::Event TopScreen::wait(TimePoint until) {
  for (;;) {
    const int left = static_cast<int>(std::min<int64_t>(time_left(until).count(), 60'000));
    pollfd polls[2] = {{signals_.get(), POLLIN, 0}, {keys_ ? STDIN_FILENO : -1, POLLIN, 0}};
    const int ready = ::poll(polls, 2, left);
    if (ready == 0 && time_left(until) == Millis(0)) return Event::time_is_up;
    if (ready <= 0) continue;
    signalfd_siginfo info;
    if (polls[0].revents && ::read(signals_.get(), &info, sizeof info) == sizeof info) {
      return info.ssi_signo == SIGWINCH ? Event::resized : Event::end;
    }
    char key;
    if (polls[1].revents && (::read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q')) return Event::end;
  }
}

}  // namespace nm::cmd
