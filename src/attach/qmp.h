// A client of QEMU's machine protocol: one JSON object a line over a Unix socket; a greeting, then answers to commands
// in order, and between them events. What comes back is not believed: a line has a longest length and a deepest
// nesting, and what is no answer is an error. A QEMU serves one client a socket at a time; another one waits for its
// greeting until the first has gone.
#pragma once

#include <sys/types.h>

#include <deque>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"

namespace nm::attach {

class Qmp {
 public:
  using Json = nlohmann::ordered_json;
  // QEMU's answer: a value, or its refusal.
  struct Answer {
    Json value;
    std::string error_class, error;  // "DeviceNotFound", a sentence; empty: it was done
    bool good() const { return error_class.empty(); }
  };
  struct Event {
    std::string name;
    Json data;
  };

  // Connects and negotiates. The error is a sentence that names the socket.
  static Result<Qmp> connect(const std::string& path, Millis limit);

  // The error: there is no answer; the connection is of no more use.
  Result<Answer> command(const std::string& name, const Json& arguments, Millis limit);
  // The next event, of those that came meanwhile first. Nothing: none within the limit.
  Result<std::optional<Event>> event(Millis limit);

  pid_t peer() const { return peer_; }  // who listens; 0: not known
  const std::string& path() const { return path_; }

 private:
  Qmp(std::string path, Fd socket) : path_(std::move(path)), socket_(std::move(socket)) {}
  // Nothing: the time is over.
  Result<std::optional<Json>> line(TimePoint deadline);
  Result<void> send(const Json& message, TimePoint deadline);
  Error broken(const std::string& why) const;

  std::string path_;
  Fd socket_;
  pid_t peer_ = 0;
  std::string buffer_;
  std::deque<Event> events_;
  uint64_t next_id_ = 1;
};

// What connect() was refused with, where that says that nobody listens: the QEMU has ended.
bool nobody_listens(const std::string& path);

}  // namespace nm::attach
