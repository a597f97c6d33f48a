// A terminal that is drawn over and over, and given back as it was.
#pragma once

#include <termios.h>

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"

namespace nm::cmd {

class TopScreen {
 public:
  // Takes the terminal that standard output is; keys come from standard input if that is one, too. The signals that end
  // a program are held back from here on, so that the terminal is given back first.
  TopScreen();
  TopScreen(const TopScreen&) = delete;
  ~TopScreen();

  size_t width() const;  // columns
  // As many lines as there is room for.
  void draw(const std::vector<std::string>& lines);

  enum class Event { time_is_up, resized, end };
  // Until the time is over, somebody presses q, or a signal comes.
  Event wait(TimePoint until);

 private:
  Fd signals_;
  bool keys_;
  termios before_{};
};

}  // namespace nm::cmd
