#include "bench/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace nm::bench {
namespace {

// A program that fails twice through one way is not tried again there: it would most likely cost its time limit in
// every pair. What it did is in the file.
constexpr int kPatience = 2;

class Sampler {
 public:
  Sampler(const Session& session, Bench& bench)
      : session_(session),
        bench_(bench),
        steps_(plan(session.programs.size(), session.ways.size(), session.pairs, session.warm_up, session.order_seed)) {
  }

  Outcome go() {
    for (at_ = 0; at_ < steps_.size(); ++at_) {
      const Step& step = steps_[at_];
      if (given_up_.contains({step.program, step.way})) continue;
      Run run = begin(step);
      show(step, nullptr);
      bench_.measure(session_.programs[step.program], session_.ways[step.way], run);
      compare_with_before(step, run);
      learn(step, run);
      const auto kept = bench_.keep(run);
      show(step, &run);
      out_.runs.push_back(std::move(run));
      if (!kept) out_.stopped = kept.error().message;
      if (!out_.stopped.empty() || out_.interrupted) return std::move(out_);
    }
    out_.complete = true;
    return std::move(out_);
  }

 private:
  Run begin(const Step& step) const {
    const Program& program = session_.programs[step.program];
    const Way& way = session_.ways[step.way];
    Run run;
    run.target = way.target.label;
    run.self = way.self;
    run.warm_up = step.warm_up;
    run.pair = step.pair;
    run.position = static_cast<int64_t>(out_.runs.size());
    run.program = program.name;
    run.suite = program.suite;
    run.level = program.level;
    run.api = program.api;
    run.size = program.size;
    return run;
  }

  // Two versions of the suite, or two GPUs, make every ratio meaningless: the session ends, with what it has.
  void compare_with_before(const Step& step, Run& run) {
    if (run.status != Status::ok) return;
    if (!run.suite_version.empty()) {
      if (suite_version_.empty()) {
        suite_version_ = run.suite_version;
        suite_from_ = run.target;
      }
      if (suite_version_ != run.suite_version) {
        run.status = Status::other_suite;
        run.sentence = fmt::format(
            "{} runs version {} of the suite and {} version {}: their programs are not the same. "
            "Install the same release on both sides (--program says where it is).",
            suite_from_, suite_version_, run.target, run.suite_version);
        out_.stopped = run.sentence;
        return;
      }
    }
    check_gpu(step, run);
  }

  void check_gpu(const Step& step, Run& run) {
    const std::string now = run.device_uuid().empty() ? run.device_name() : run.device_uuid();
    if (now.empty()) return;
    // An API's name for a device may not be another API's.
    const auto here = gpus_.try_emplace({step.way, run.api}, Gpu{now, run.device_name()}).first->second;
    if (here.id != now) {
      run.status = Status::other_gpu;
      run.sentence = fmt::format("{} reached another GPU than before: {} ({}) instead of {} ({}).", run.target,
                                 run.device_name(), now, here.name, here.id);
      out_.stopped = run.sentence;
      return;
    }
    const auto first = gpus_.find({0, run.api});
    if (session_.different_gpus || first == gpus_.end() || first->second.id == now) return;
    run.status = Status::other_gpu;
    run.sentence = fmt::format(
        "{} reaches {} ({}) and {} reaches {} ({}): those are not two ways to one GPU. Choose the same one on "
        "both sides, or add --different-gpus to compare them all the same.",
        session_.ways[0].target.label, first->second.name, first->second.id, run.target, run.device_name(), now);
    out_.stopped = run.sentence;
  }

  void learn(const Step& step, const Run& run) {
    auto& [seconds, count] = times_[{step.program, step.way}];
    seconds += run.seconds;
    count += 1;
    if (run.status == Status::interrupted) out_.interrupted = true;
    if (run.status == Status::ok) {
      worked_.insert(step.way);
      return;
    }
    if (run.status == Status::skipped) {
      given_up_.insert({step.program, step.way});
      // Without the reference there is nothing to compare with.
      for (size_t way = 0; step.way == 0 && way < session_.ways.size(); ++way) given_up_.insert({step.program, way});
      return;
    }
    if (++failures_[{step.program, step.way}] >= kPatience) given_up_.insert({step.program, step.way});
    if (run.status != Status::not_started) return;
    // A target that has not once begun is not there at all.
    if (!worked_.contains(step.way) && ++unstarted_[step.way] >= kPatience) {
      out_.stopped = fmt::format("Target {} does not start: {}", run.target, run.sentence);
    }
  }

  // By what each program has taken through each way so far; through a way that it has not been run by, as long as by
  // another.
  double seconds_left(size_t from) const {
    double known = 0, sum = 0, count = 0;
    std::map<size_t, std::pair<double, double>> by_program;
    for (const auto& [key, each] : times_) {
      by_program[key.first].first += each.first;
      by_program[key.first].second += each.second;
      sum += each.first;
      count += each.second;
    }
    if (count == 0) return -1;
    for (size_t i = from; i < steps_.size(); ++i) {
      if (given_up_.contains({steps_[i].program, steps_[i].way})) continue;
      const auto own = times_.find({steps_[i].program, steps_[i].way});
      const auto any = by_program.find(steps_[i].program);
      known += own != times_.end()       ? own->second.first / own->second.second
               : any != by_program.end() ? any->second.first / any->second.second
                                         : sum / count;
    }
    return known;
  }

  void show(const Step& step, const Run* last) {
    bench_.show({.done = at_ + (last ? 1 : 0),
                 .all = steps_.size(),
                 .seconds_left = seconds_left(at_ + (last ? 1 : 0)),
                 .program = &session_.programs[step.program],
                 .way = &session_.ways[step.way],
                 .last = last});
  }

  struct Gpu {
    std::string id, name;
  };
  using Place = std::pair<size_t, size_t>;  // program, way

  const Session& session_;
  Bench& bench_;
  const std::vector<Step> steps_;
  size_t at_ = 0;
  Outcome out_;
  std::string suite_version_, suite_from_;
  std::map<std::pair<size_t, std::string>, Gpu> gpus_;  // by way and API
  std::map<Place, std::pair<double, double>> times_;    // seconds, runs
  std::map<Place, int> failures_;
  std::map<size_t, int> unstarted_;
  std::set<size_t> worked_;
  std::set<Place> given_up_;
};

}  // namespace

Outcome sample(const Session& session, Bench& bench) { return Sampler(session, bench).go(); }

}  // namespace nm::bench
