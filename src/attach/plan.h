// What is to be done with one GPU, in order; and the one place that does it.
//
// The Executor writes down what it is about to do before it does it, and the state of every function involved before
// any of it. So at every moment the journal says enough to go back, whoever reads it, and whatever has become of the
// process that wrote it. After the last step, one transaction replaces the journal's entry by what is true now.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "attach/attachment.h"
#include "attach/step.h"

namespace nm::attach {

class Backend;
class Store;

struct Plan {
  Steps steps;
  // Of what is here, in the order in which it is known. Sentences for the user: what will be noticed.
  std::vector<std::string> notes;
};

// The plan as lines of a shell script, each step under its title.
std::vector<std::string> script(const Plan& plan);

// Makes a step again from what to_json() wrote: VFIO's own, and those of the backends. The error names what is not
// known.
class StepReader {
 public:
  explicit StepReader(std::vector<Backend*> backends) : backends_(std::move(backends)) {}
  Result<std::unique_ptr<Step>> step(const Json& json) const;
  Result<Steps> steps(const Json& json) const;

 private:
  std::vector<Backend*> backends_;
};

// What recovery tries first: an attach or a move goes back, unless all of it is done; a detach or a release goes on.
bool goes_onward(const Operation& operation);

// Where the Executor is, for progress and for tests that end the process there.
struct Moment {
  enum class What { journaled, starting, performed, verified, undoing, undone, finished } what;
  size_t step = 0, steps = 0;
  std::string title;
};
using Watcher = std::function<void(const Moment&)>;

class Executor {
 public:
  Executor(Context context, Store& store, Watcher watcher = {})
      : context_(context), store_(store), watcher_(std::move(watcher)) {}

  // Applies the plan. On success the store has `operation.after`. On failure every step has been undone, the store has
  // `operation.before`, and the error says why; or undoing failed too: then the entry stays in the journal, and the
  // error says that as well.
  Result<void> apply(Operation operation, const Plan& plan);
  // What an earlier process left: on to the end, or back to the beginning. `steps` are the operation's, made again.
  Result<void> finish(Operation& operation, const Steps& steps);
  Result<void> roll_back(Operation& operation, const Steps& steps);

 private:
  Result<void> forward(Operation& operation, const Steps& steps);
  Result<void> backward(Operation& operation, const Steps& steps);
  Result<void> set_phase(Operation& operation, size_t step, Phase phase);
  void tell(Moment::What what, size_t step, const Steps& steps) const;

  Context context_;
  Store& store_;
  Watcher watcher_;
};

}  // namespace nm::attach
