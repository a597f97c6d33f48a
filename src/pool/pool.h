// The pool: what there is, who has it, who waits, and what happens next.
//
// It is told what happened (`apply`) and asked what to do (`decide`); it does nothing itself. What it decides counts as
// done in its own books at once, so that the next decision builds on it; whoever carries it out and cannot says so with
// `NotKept`. A lease that is to end (it expired, was taken back, or its host is gone) keeps its devices until `Ended`
// says that nothing of it runs any more: a device is never given twice because somebody was slow to leave.
//
// No file, no thread and no clock is here. The same events at the same times give the same actions, and a pool rebuilt
// from `contents()` goes on as the one that they were taken from.
#pragma once

#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "pool/queue.h"

namespace nm::pool {

// --- what happened

struct HostUp {  // a host has joined, or tells anew what it has
  Host host;
};
struct HostGone {  // it is gone, and so is all that ran on it
  std::string host;
};
struct Submitted {
  Claim claim;
};
struct Withdrawn {  // nobody waits for it any more
  std::string claim;
};
struct Ended {
  std::string lease;
};
struct NotKept {  // a grant that could not be carried out: its claim waits again, where it stood
  std::string lease;
};
struct Extended {  // a new end; kNever: none
  std::string lease;
  Time until;
};
struct PolicyChanged {
  Policy policy;
};
using Event = std::variant<HostUp, HostGone, Submitted, Withdrawn, Ended, NotKept, Extended, PolicyChanged>;

// --- what to do

struct Granted {
  Lease lease;
  bool operator==(const Granted&) const = default;
};
struct Refused {  // the claim waits no more
  std::string claim, sentence;
  bool operator==(const Refused&) const = default;
};
struct Waits {  // said once, when it begins to; why() tells how it stands later
  std::string claim;
  Wait wait;
  bool operator==(const Waits&) const = default;
};
struct Expired {  // end it
  std::string lease;
  bool operator==(const Expired&) const = default;
};
struct TakenBack {  // tell it to end, and end it at `by`
  std::string lease, for_claim;
  Time by;
  bool operator==(const TakenBack&) const = default;
};
struct Lost {  // end what is left of it
  std::string lease, host;
  bool operator==(const Lost&) const = default;
};
struct Kept {  // no longer borrowed: its project's other leases have made room in the quota
  std::string lease;
  bool operator==(const Kept&) const = default;
};
using Action = std::variant<Granted, Refused, Waits, Expired, TakenBack, Lost, Kept>;

// Hosts that are kept for a claim until they can serve it.
struct Promise {
  std::string claim;
  std::vector<std::string> hosts;
  Time by = kNever;    // when they are expected to, by what is known
  bool taken = false;  // leases were taken back for it
  bool operator==(const Promise&) const = default;
};

// All that a pool knows: what a store keeps of it.
struct Contents {
  struct Waiter {
    Claim claim;
    uint64_t number = 0;
    Time since{};
  };
  std::vector<Host> hosts;
  std::vector<Lease> leases;
  std::vector<Waiter> waiting;
  std::vector<Promise> promises;
  std::map<std::string, Use> uses;  // `held` and `kept` are counted anew
  uint64_t next_number = 1, next_lease = 1;
  Time now{};
};

struct Place {
  const Waiting* waiting = nullptr;
  size_t position = 0;  // from 1
  std::string reason;
};

class Pool {
 public:
  explicit Pool(Policy policy) : policy_(std::move(policy)) {}
  Pool(Pool&&) = default;

  // The error: two leases that cannot both be, or a value that is none; it names them.
  static Result<Pool> rebuild(Policy policy, const Contents& contents);
  Contents contents() const;

  // The error says what of the event cannot be; then nothing has changed. Time never goes back here: an earlier `now`
  // counts as the latest one.
  Result<void> apply(const Event& event, Time now);
  std::vector<Action> decide(Time now);

  // The earliest time at which `decide` has something to do without an event; kNever: none.
  Time next_expiry() const { return by_until_.empty() ? kNever : by_until_.begin()->first; }

  std::vector<Place> queue(Time now) const;
  std::string why(const std::string& claim, Time now) const;  // empty: it does not wait

  const Policy& policy() const { return policy_; }
  const Cluster& cluster() const { return cluster_; }
  const std::map<std::string, Lease>& leases() const { return leases_; }
  const std::map<std::string, Use>& uses() const { return uses_; }
  const std::vector<Promise>& promises() const { return promises_; }
  const Queue& waiting() const { return queue_; }

 private:
  struct Origin {  // of a lease's claim, should it have to wait again
    uint64_t number;
    Time since;
  };
  using Actions = std::vector<Action>;

  Result<void> on(const HostUp& event);
  Result<void> on(const HostGone& event);
  Result<void> on(const Submitted& event);
  Result<void> on(const Withdrawn& event);
  Result<void> on(const Ended& event);
  Result<void> on(const NotKept& event);
  Result<void> on(const Extended& event);
  Result<void> on(const PolicyChanged& event);
  Result<void> adopt(const Lease& lease);  // one that is there already

  // pool.cc
  Lease& enter(Lease lease);             // into all books
  void leave(const std::string& lease);  // out of them
  void end(Lease& lease);                // it is to end
  void lose(const std::string& lease, const std::string& host);

  // decide.cc
  void refuse_impossible(Actions& actions);
  void round(bool within, Actions& actions);
  Waiting* candidate(Lines& lines, bool within);
  bool try_line(Lines& lines, Waiting& head, bool borrowed, Actions& actions);
  bool backfill(Line& line, bool borrowed, Actions& actions);
  void grant(Waiting& waiting, const Grant& grant, bool borrowed, Actions& actions);
  void settle(Actions& actions);
  int64_t held_back(const Lines& lines, const Waiting* except) const;

  // promise.cc
  void keep_promises(Actions& actions);
  void make_promises(Actions& actions);
  bool take_back(Waiting& waiting, Actions& actions);
  bool drain_hosts(Waiting& waiting);
  void promise(Waiting& waiting, const std::vector<HostEntry*>& hosts, Time by, bool taken);
  void drop_promise(const std::string& claim);
  int64_t promised_to(const std::string& project, const Waiting* except) const;

  const ProjectRule& rule(const std::string& project) const {
    return policy_.order == Order::fair ? policy_.rule(project) : free_;
  }
  Use& use(const std::string& project) { return uses_[project]; }

  Policy policy_;
  ProjectRule free_;
  Cluster cluster_;
  Queue queue_;
  std::map<std::string, Lease> leases_;
  std::map<std::string, Origin> origins_;
  std::set<std::pair<Time, std::string>> by_until_;                            // leases that are not ending
  std::map<std::string, std::set<std::string>> by_host_;                       // leases
  std::map<std::string, std::set<std::pair<Time, std::string>>> borrowed_by_;  // not ending, by project, oldest first
  std::set<std::string> by_claim_;                                             // claims that have a lease
  std::map<std::string, Use> uses_;
  std::vector<Promise> promises_;
  std::vector<std::string> fresh_;  // claims that no decision has seen
  std::vector<Action> pending_;     // found by apply, said by the next decision
  bool gained_ = false;             // something has become free since the last decision
  uint64_t next_number_ = 1, next_lease_ = 1, decision_ = 0, round_ = 0;
  Time now_{};
};

}  // namespace nm::pool
