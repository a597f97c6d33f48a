// Who waits. Claims of one project and one shape stand in a line; a project's next claim is the best head of its lines.
// So a decision looks at lines, not at claims: a hundred thousand claims of fifty shapes are fifty lines a project, and
// a shape that has found no room once is not tried again until something has become free.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pool/place.h"
#include "pool/shares.h"

namespace nm::pool {

struct ShapeState {
  Wish wish;
  bool stuck = false;  // no room on any shelf, and nothing has become free since
  size_t waiting = 0;
};

// Higher priority first, then in order of arrival.
struct Turn {
  int priority = 0;
  uint64_t number = 0;
  bool operator<(const Turn& other) const {
    return priority != other.priority ? priority > other.priority : number < other.number;
  }
};

struct Waiting {
  Claim claim;
  uint64_t number = 0;  // of arrival
  Time since{};
  ShapeState* shape = nullptr;
  bool promised = false;

  int64_t size() const { return shape->wish.most_charge; }
};

struct Line {
  std::map<Turn, Waiting*> claims;
  uint64_t tried = 0;  // the decision in which it found no room
  bool fresh = false;  // has claims that came since
  uint64_t out = 0;    // the round in which its head was not within its quota
};

struct Lines {
  std::string project;
  std::map<const ShapeState*, Line> lines;  // the order of the addresses decides nothing: turns are unique
  size_t waiting = 0;
};

class Queue {
 public:
  // The claim joins its line. `fair`: the line of its project; else all claims are one project's.
  Waiting& add(Claim claim, uint64_t number, Time since, const Cluster& cluster, Order order);
  // Leaves its line and is forgotten. The id must be of one that waits.
  void remove(const std::string& id, Order order);

  Waiting* find(const std::string& id);
  const Waiting* find(const std::string& id) const { return const_cast<Queue*>(this)->find(id); }
  size_t size() const { return waiting_.size(); }
  const std::map<std::string, Waiting>& waiting() const { return waiting_; }
  std::map<std::string, Lines>& projects() { return projects_; }
  const std::map<std::string, Lines>& projects() const { return projects_; }

  void unstick();                        // something has become free
  void refresh(const Cluster& cluster);  // the kinds of GPUs may be others

 private:
  static Turn turn(const Waiting& waiting, Order order) {
    return {order == Order::fair ? waiting.claim.priority : 0, waiting.number};
  }
  Lines& lines_of(const Waiting& waiting, Order order) {
    return projects_[order == Order::fair ? waiting.claim.project : ""];
  }

  std::map<std::string, Waiting> waiting_;
  std::map<Shape, std::unique_ptr<ShapeState>> shapes_;
  std::map<std::string, Lines> projects_;
};

// All who wait, in the order in which they would be served if each found room: the rule of the rounds in decide.cc,
// played forward. First those within their quotas, then those beyond.
class Walk {
 public:
  using Uses = std::map<std::string, Use>;
  Walk(const Queue& queue, const Policy& policy, const Uses& uses, Time now);
  const Waiting* next();                   // null: that was the last one
  bool beyond() const { return beyond_; }  // the last one was beyond its quota

 private:
  struct Lane {
    const Lines* lines;
    std::vector<std::pair<std::map<Turn, Waiting*>::const_iterator, const Line*>> cursors;
    std::vector<const Waiting*> later;
    size_t later_at = 0;
    int64_t more = 0;  // served so far
    int64_t hold = 0;  // the first that its quota has no room for, and waits for it
    Use use;
    ProjectRule rule;
  };
  const Waiting* within(Lane& lane);  // the lane's next one within its quota, not yet taken
  std::vector<Lane> lanes_;
  const Policy& policy_;
  Time now_;
  bool beyond_ = false;
};

}  // namespace nm::pool
