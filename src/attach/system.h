// The host as something that can be changed: what the inventory reads, and the few ways in which attaching acts on it.
// Tests have a kernel of their own behind it (fake_kernel.h). Every act has a limit of time, because the kernel's do
// not: the write that takes a device from its driver blocks for as long as somebody uses the device, if need be for
// ever.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "inventory/host.h"

namespace nm::attach {

// How a program ended that was run to its end.
struct Finished {
  int status = -1;       // exit status; 128 + number after a signal
  bool late = false;     // it was killed, because its time was over
  std::string out, err;  // at most 1 MiB of each
};

// A process that was told to write, was killed, and is still in the kernel. What it began may yet happen.
struct StuckWriter {
  pid_t pid = 0;
  uint64_t started = 0;  // as /proc/PID/stat says: tells it from a later process of the same number
  std::string path;
};

class System {
 public:
  virtual ~System() = default;
  virtual const inventory::Host& host() const = 0;

  // One write(2) of `text` to an existing file, by a process that can be given up. The error says what the kernel
  // answered, as "…: Device or resource busy", without a full stop's next step: the step knows that.
  virtual Result<void> write(const std::string& path, const std::string& text, Millis limit) = 0;
  // Those of this process's writes that could not be given up, as far as they are still at it.
  virtual std::vector<StuckWriter> stuck() = 0;

  // argv[0] is looked for in the usual directories. The error: it could not be started. Standard input is empty unless
  // `input` is given.
  virtual Result<Finished> run(const std::vector<std::string>& argv, Millis limit, const std::string& input = "") = 0;

  // SIGTERM, then wait for its end. The error: it has not ended within the limit.
  virtual Result<void> end_process(pid_t pid, uint64_t started, Millis limit) = 0;

  // For loops that wait for something that has no event: sleeps a moment.
  virtual void pause() = 0;
  // The user has asked to stop (Ctrl-C).
  virtual bool interrupted() const = 0;
};

// This machine.
class RealSystem : public System {
 public:
  RealSystem() = default;
  const inventory::Host& host() const override { return host_; }
  Result<void> write(const std::string& path, const std::string& text, Millis limit) override;
  std::vector<StuckWriter> stuck() override;
  Result<Finished> run(const std::vector<std::string>& argv, Millis limit, const std::string& input) override;
  Result<void> end_process(pid_t pid, uint64_t started, Millis limit) override;
  void pause() override;
  bool interrupted() const override;

 private:
  inventory::DirectoryHost host_;
  std::vector<StuckWriter> stuck_;
};

// From here on SIGINT and SIGTERM no longer end the process: they are what RealSystem::interrupted() tells. A second
// SIGINT changes nothing either, because what is being undone must not be left half undone.
void heed_interrupts();

// When a process began, in the kernel's ticks; 0: there is none of that number.
uint64_t start_of_process(const inventory::Host& host, pid_t pid);
// Which start of the kernel this is: no process or binding of another one is there any more.
std::string boot_id(const inventory::Host& host);

}  // namespace nm::attach
