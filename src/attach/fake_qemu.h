// A QEMU for tests, as far as its monitor goes: root ports, devices that come and go, and guests of every temper.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"

namespace nm::attach {

class FakeQemu {
 public:
  enum class Temper {
    willing,         // lets go at once
    slow,            // after a second look at the list of devices
    silent,          // never answers the request
    refusing,        // DEVICE_UNPLUG_GUEST_ERROR
    dying,           // closes the connection when asked to let go, and listens no more
    no_greeting,     // somebody else has the monitor
    closing,         // closes at once
    endless_line,    // a line that never ends
    deep,            // [[[[[...
    garbage,         // no JSON
    wrong_answers,   // JSON that is no answer
    no_result,       // an answer with neither result nor error
    events_forever,  // events instead of an answer
  };

  FakeQemu(std::string socket, Temper temper = Temper::willing, std::vector<std::string> ports = {"rp1"});
  ~FakeQemu();
  FakeQemu(const FakeQemu&) = delete;

  const std::string& socket() const { return socket_; }
  void set_temper(Temper temper) { temper_ = temper; }
  void refuse_additions(const std::string& why);
  std::vector<std::string> devices();   // "id host bus addr multifunction", in the order in which they came
  std::vector<std::string> commands();  // all that were executed
  void drop(const std::string& host);   // the guest lets go of it late

 private:
  void serve();
  void talk(int client);
  bool answer(int client, const std::string& line);  // false: hang up
  bool send(int client, const std::string& text);

  std::string socket_;
  Fd listener_;
  std::atomic<Temper> temper_;
  std::atomic<bool> over_ = false;
  std::mutex mutex_;
  std::vector<std::string> ports_, devices_, commands_;
  std::string refusal_;
  std::string going_;  // asked to let go of, slowly
  int looks_ = 0;
  std::thread thread_;
};

}  // namespace nm::attach
