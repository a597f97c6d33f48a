// A peer that fails over and over is told of once a minute, with how often: neither it nor a crowd of others can fill
// the log. Time is given, so nothing here waits.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/clock.h"

namespace nm::identity {

class LogOnce {
 public:
  explicit LogOnce(Millis every = Millis(60'000), size_t most = 4096) : every_(every), most_(most) {}

  // Nothing: say nothing. Else how many were passed over since the last time.
  std::optional<uint64_t> due(const std::string& peer, TimePoint now) {
    forget_old(now);
    const auto found = peers_.find(peer);
    if (found != peers_.end()) {
      if (now - found->second.last < every_) {
        found->second.passed_over++;
        return {};
      }
      found->second.last = now;
      return std::exchange(found->second.passed_over, 0);
    }
    // More peers than can be remembered: they are counted together, under no name.
    if (peers_.size() >= most_ && !peer.empty()) return due("", now);
    peers_[peer] = {.last = now};
    return 0;
  }

 private:
  struct Peer {
    TimePoint last;
    uint64_t passed_over = 0;
  };
  void forget_old(TimePoint now) {
    if (peers_.size() < most_) return;
    std::erase_if(peers_, [&](const auto& entry) { return now - entry.second.last >= every_; });
  }

  const Millis every_;
  const size_t most_;
  std::map<std::string, Peer> peers_;
};

}  // namespace nm::identity
