// How far a session is, for whoever waits: one line, drawn anew, on a terminal; elsewhere a line now and then.
#pragma once

#include <string>

#include "base/clock.h"
#include "bench/sampler.h"

namespace nm::cmd {

class BenchProgress {
 public:
  explicit BenchProgress(bool terminal) : terminal_(terminal) {}
  ~BenchProgress() { clear(); }

  void show(const bench::Progress& progress);
  void clear();

 private:
  void line(const std::string& text);

  bool terminal_, drawn_ = false;
  TimePoint last_{};
};

// "[12/80] native: Reduction (cuda), 3m05s left"
std::string progress_text(const bench::Progress& progress);

}  // namespace nm::cmd
