// Where a running guest's files are, and that only one of a name runs. `nearmetal vm run` holds the lock for as long as
// it lives; the kernel lets go of it however that ends, so a socket that was left behind confuses nobody.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace nm::guest {

// A name that can be a file's: no slash, no control characters, no dot or dash in front, at most 60 bytes.
Result<void> check_name(const std::string& name);
// What a guest is called whom nobody named: "/srv/train 1.qcow2" is "train-1".
std::string name_for(const std::string& disk);

// "/run/nearmetal/vm" for root, else below XDG_RUNTIME_DIR, else in /tmp.
std::string run_directory();
// "/var/lib/nearmetal/vm" for root, else below XDG_STATE_HOME: what outlives a run.
std::string keep_directory();

class RunPlace {
 public:
  // Makes the directories. The error: a guest of that name runs, or the directory cannot be had.
  static Result<RunPlace> take(const std::string& run, const std::string& keep, const std::string& name);
  // Removes what only a run needs.
  ~RunPlace();
  RunPlace(RunPlace&&) = default;

  std::string qmp() const { return run_ + "/" + name_ + ".qmp"; }
  std::string variables() const { return keep_ + "/" + name_ + ".fd"; }
  // The guest's own copy of OVMF's variables, made once: there it keeps from what to start.
  Result<void> copy_variables(const std::string& from) const;

 private:
  RunPlace(std::string run, std::string keep, std::string name, Fd lock)
      : run_(std::move(run)), keep_(std::move(keep)), name_(std::move(name)), lock_(std::move(lock)) {}
  std::string run_, keep_, name_;
  Fd lock_;
};

// Whether the guest with this socket has its `nearmetal vm run`: somebody holds its lock.
bool runs(const std::string& qmp);

}  // namespace nm::guest
