// The stream captures of a process, as far as it can know them by itself: where they began, which streams joined them
// through events, which calls a driver would refuse at once. Pure bookkeeping in the order of the program's calls.
#pragma once

#include <cstdint>
#include <map>

namespace nm::client {

class CaptureState {
 public:
  // Of a stream. `may`: it waited for a captured event, and whether that wait succeeded is not known here.
  enum class Part { none, may, surely };

  // Captures begun and not ended.
  int open() const { return static_cast<int>(captures_.size()); }

  void begin(uint64_t stream, uint64_t context);
  // Of the stream it began in; nothing happens for others. A destroyed stream ends its capture, too.
  void end(uint64_t stream);
  void end_context(uint64_t context);

  Part part(uint64_t stream) const;
  // What the server said of a stream.
  void settle(uint64_t stream, bool takes_part);

  void record(uint64_t event, uint64_t stream, bool external);
  // The stream waits for the event. True: a driver refuses this at the call, so the program has to hear the answer.
  bool wait(uint64_t stream, uint64_t event, bool external);

  // Something was refused: from now on a call for a captured stream may be, too, at once.
  void doubt();
  bool is_doubted(uint64_t stream) const;

 private:
  struct Capture {
    uint64_t origin, context;
    bool doubted = false;
  };
  struct Member {
    uint64_t capture;
    Part part;
  };
  void erase(uint64_t capture);

  uint64_t next_ = 1;
  std::map<uint64_t, Capture> captures_;  // by a number of our own
  std::map<uint64_t, Member> members_;    // by stream
  std::map<uint64_t, uint64_t> events_;   // recorded in a captured stream: the capture, which may be over
};

}  // namespace nm::client
