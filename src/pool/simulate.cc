#include "pool/simulate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <queue>
#include <unordered_map>

#include "pool/pool.h"

namespace nm::pool {
namespace {

constexpr size_t kBetweenProgress = 256;

double in_seconds(Duration duration) { return static_cast<double>(duration.count()) / 1000; }

class Replay {
 public:
  Replay(const Trace& trace, const Contender& contender, const Watch& watch)
      : trace_(trace), watch_(watch), pool_(contender.policy), last_claim_(trace.claims.back().at) {
    outcome_.name = contender.name;
    outcome_.claims = trace.claims.size();
    outcome_.span = last_claim_ - trace.claims.front().at;
    for (size_t i = 0; i < trace.claims.size(); ++i) by_id_[trace.claims[i].claim.id] = i;
    served_.resize(trace.claims.size());
  }

  Result<Outcome> run() {
    const Time begin = trace_.claims.front().at;
    for (const Host& host : trace_.hosts) {
      if (auto done = pool_.apply(HostUp{host}, begin); !done) return done.error();
    }
    pool_.decide(begin);
    now_ = begin;
    size_t next = 0, events = 0;
    while (next < trace_.claims.size() || !ends_.empty()) {
      // What ends makes room before what comes at the same moment is looked at.
      const bool ending = !ends_.empty() && (next == trace_.claims.size() || ends_.top().at <= trace_.claims[next].at);
      if (ending) {
        const End end = ends_.top();
        ends_.pop();
        if (auto done = ended(end); !done) return done.error();
      } else {
        const TraceClaim& claim = trace_.claims[next++];
        if (auto done = step(Submitted{claim.claim}, claim.at); !done) return done.error();
      }
      if (++events % kBetweenProgress == 0 && watch_.progress &&
          !watch_.progress(outcome_.served + outcome_.refused, outcome_.claims)) {
        return Error{"The simulation was stopped."};
      }
    }
    finish();
    return outcome_;
  }

 private:
  struct End {
    Time at;
    uint64_t number;  // of its scheduling
    std::string lease;
    bool operator>(const End& other) const { return at != other.at ? at > other.at : number > other.number; }
  };
  struct Running {
    size_t claim;
    Time granted, ends;  // by itself
  };

  void schedule(const std::string& lease, Time at) { ends_.push({at, ++scheduled_, lease}); }

  Result<void> ended(const End& end) {
    const auto found = running_.find(end.lease);
    if (found == running_.end()) return {};  // it ended before: this was the other of its two ends
    const Running was = found->second;
    running_.erase(found);
    if (auto done = step(Ended{end.lease}, end.at); !done) return done;
    if (end.at >= was.ends) return {};
    const Claim& claim = trace_.claims[was.claim].claim;
    outcome_.lost_gpu_hours += in_seconds(end.at - was.granted) / 3600 * claim.number;
    return step(Submitted{claim}, end.at);  // it comes again, and begins anew
  }

  // An event and the decision that follows, timed together.
  Result<void> step(const Event& event, Time at) {
    count_until(at);
    const uint64_t examined = pool_.cluster().examined();
    const int64_t begin = watch_.nanoseconds ? watch_.nanoseconds() : 0;
    if (auto done = pool_.apply(event, at); !done) return done;
    const auto actions = pool_.decide(at);
    if (watch_.nanoseconds) decisions_.push_back(static_cast<double>(watch_.nanoseconds() - begin) / 1000);
    examined_.push_back(static_cast<double>(pool_.cluster().examined() - examined));
    for (const Action& action : actions) std::visit([&](const auto& a) { carry_out(a); }, action);
    outcome_.longest_queue = std::max(outcome_.longest_queue, pool_.waiting().size());
    return {};
  }

  void carry_out(const Granted& action) {
    const Lease& lease = action.lease;
    const size_t index = by_id_.at(lease.claim.id);
    const TraceClaim& claim = trace_.claims[index];
    outcome_.borrowed += lease.borrowed;
    if (!served_[index]) {
      served_[index] = true;
      ++outcome_.served;
      waits_.push_back(in_seconds(lease.granted - claim.at));
      if (claim.claim.number >= kBig) big_waits_.push_back(waits_.back());
    }
    const Time natural = std::min(lease.granted + claim.runs, lease.until);
    if (lease.granted + claim.runs > lease.until) ++outcome_.overran;
    running_[lease.id] = {index, lease.granted, natural};
    schedule(lease.id, natural);
  }
  void carry_out(const TakenBack& action) {
    ++outcome_.taken_back;
    schedule(action.lease, action.by);  // unless it ends before
  }
  void carry_out(const Refused&) { ++outcome_.refused; }
  void carry_out(const Waits&) {}
  void carry_out(const Expired&) {}  // its end at its limit is scheduled
  void carry_out(const Lost&) {}
  void carry_out(const Kept&) {}

  // What was granted and what was idle since the last event.
  void count_until(Time at) {
    const Time end = std::min(at, last_claim_);
    if (end > now_) {
      const double passed = in_seconds(end - now_);
      const Cluster& cluster = pool_.cluster();
      granted_ += passed * static_cast<double>(cluster.share_held());
      there_ += passed * static_cast<double>(cluster.share_total());
      idle_ += passed * static_cast<double>(cluster.share_idle());
      whole_ += passed * static_cast<double>(cluster.share_on_whole_hosts());
    }
    now_ = std::max(now_, at);
  }

  void finish() {
    outcome_.never = pool_.waiting().size();
    outcome_.makespan = now_ - trace_.claims.front().at;
    outcome_.utilisation = there_ > 0 ? granted_ / there_ : 0;
    outcome_.fragmentation = idle_ > 0 ? 1 - whole_ / idle_ : 0;
    outcome_.decisions = examined_.size();
    outcome_.wait = quantiles(std::move(waits_));
    outcome_.big_wait = quantiles(std::move(big_waits_));
    outcome_.decision = quantiles(std::move(decisions_));
    outcome_.examined = quantiles(std::move(examined_));
  }

  const Trace& trace_;
  const Watch& watch_;
  Pool pool_;
  const Time last_claim_;
  Time now_{};
  Outcome outcome_;
  std::unordered_map<std::string, size_t> by_id_;
  std::unordered_map<std::string, Running> running_;
  std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
  uint64_t scheduled_ = 0;
  std::vector<char> served_;
  std::vector<double> waits_, big_waits_, decisions_, examined_;
  double granted_ = 0, there_ = 0, idle_ = 0, whole_ = 0;
};

}  // namespace

Quantiles quantiles(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  // The smallest value that at least so many are not above.
  const auto at = [&](double part) {
    const auto rank = static_cast<size_t>(std::ceil(part * static_cast<double>(values.size())));
    return values[std::max<size_t>(1, rank) - 1];
  };
  return {at(0.5), at(0.99), values.back(),
          std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size())};
}

Result<Contender> contender(const std::string& name, const Trace& trace) {
  const auto placement = parse_placement(name);
  if (!placement) return placement.error();
  Contender made{name, {.placement = *placement}};
  made.policy.projects = trace.projects;
  if (*placement == Placement::first_fit || *placement == Placement::best_fit) {
    made.policy.order = Order::arrival;
    made.policy.reservations = 0;
    made.policy.take_back = false;
  }
  return made;
}

Result<Outcome> simulate(const Trace& trace, const Contender& contender, const Watch& watch) {
  if (trace.claims.empty()) return Error{"The trace has no claim. src/pool/trace.md has an example."};
  if (trace.hosts.empty()) return Error{"The trace has no host. Add some, or say how many GPUs there are with --gpus."};
  return Replay(trace, contender, watch).run();
}

}  // namespace nm::pool
