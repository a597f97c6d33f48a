#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "store/history.h"

namespace nm::store {
namespace {

const char* word_for(Hold::End end) {
  switch (end) {
    case Hold::End::released:
      return "released";
    case Hold::End::abandoned:
      return "abandoned";
    case Hold::End::let_go:
      return "let go";
    case Hold::End::taken:
      return "taken";
  }
  return "?";
}

std::string describe(const Hold& hold) {
  return fmt::format("{} by {} (revision {}, {} to {}, last keep-alive {} to {}, {})", hold.gpu, hold.token,
                     hold.revision, hold.from, hold.until, hold.last_sent, hold.last_acked, word_for(hold.end));
}

// When a claim was seen to be made and to end, by whoever saw it first.
struct Life {
  Revision made = 0;
  Revision ended = 0;
  int64_t ended_at = 0;
};

std::map<std::string, Life> lives_of(const History& history, std::vector<std::string>* violations) {
  std::map<std::string, Life> lives;
  for (const auto& watcher : history.seen) {
    std::map<std::string, std::string> holder;  // of each GPU
    for (const Seen& seen : watcher) {
      const Entry& entry = seen.event.entry;
      std::string& token = holder[entry.key];
      if (seen.event.kind == Event::Kind::put) {
        if (!token.empty())
          violations->push_back(fmt::format("{} was granted to {} over {}", entry.key, entry.value, token));
        if (!history.tried.count(entry.value))
          violations->push_back(fmt::format("{} was granted to {}, who never asked", entry.key, entry.value));
        token = entry.value;
        lives[token].made = entry.modified;
      } else {
        Life& life = lives[token];
        if (life.ended == 0 || seen.at < life.ended_at) life.ended_at = seen.at;
        life.ended = entry.modified;
        token.clear();
      }
    }
  }
  return lives;
}

void check_watchers(const History& history, std::vector<std::string>* violations) {
  for (size_t i = 1; i < history.seen.size(); ++i) {
    const auto& a = history.seen[0];
    const auto& b = history.seen[i];
    const auto differ = std::mismatch(a.begin(), a.end(), b.begin(), b.end(),
                                      [](const Seen& x, const Seen& y) { return x.event == y.event; });
    if (differ.first == a.end() && differ.second == b.end()) continue;
    violations->push_back(fmt::format("watchers 0 and {} differ at event {} (of {} and {})", i,
                                      differ.first - a.begin(), a.size(), b.size()));
  }
  for (const auto& watcher : history.seen) {
    for (size_t i = 1; i < watcher.size(); ++i) {
      if (watcher[i].event.entry.modified < watcher[i - 1].event.entry.modified) {
        violations->push_back(fmt::format("revision {} was seen after {}", watcher[i].event.entry.modified,
                                          watcher[i - 1].event.entry.modified));
      }
    }
  }
}

void check_exclusive(const History& history, std::vector<std::string>* violations) {
  std::map<std::string, std::vector<const Hold*>> by_gpu;
  for (const Hold& hold : history.holds) {
    if (hold.until > hold.from) by_gpu[hold.gpu].push_back(&hold);
  }
  for (auto& [gpu, holds] : by_gpu) {
    std::sort(holds.begin(), holds.end(), [](const Hold* a, const Hold* b) { return a->from < b->from; });
    for (size_t i = 1; i < holds.size(); ++i) {
      if (holds[i]->from < holds[i - 1]->until) {
        violations->push_back(
            fmt::format("two held it at a time: {}; {}", describe(*holds[i - 1]), describe(*holds[i])));
      }
    }
  }
}

}  // namespace

Finding check_history(const History& history, int64_t grace) {
  Finding finding;
  finding.violations = history.troubles;
  check_watchers(history, &finding.violations);
  check_exclusive(history, &finding.violations);
  const auto lives = lives_of(history, &finding.violations);
  for (const auto& [token, life] : lives) {
    if (life.ended == 0) finding.violations.push_back(fmt::format("the claim of {} never ended", token));
  }
  for (const Hold& hold : history.holds) {
    const auto at = lives.find(hold.token);
    if (at == lives.end() || at->second.made != hold.revision) {
      finding.violations.push_back("an acknowledged claim was never seen: " + describe(hold));
      continue;
    }
    const Life& life = at->second;
    if (life.ended == 0) continue;
    if (hold.end == Hold::End::taken && hold.taken_at < hold.last_sent + hold.ttl) {
      finding.violations.push_back(
          fmt::format("the lease was gone at {}, before its time: {}", hold.taken_at, describe(hold)));
    } else if (life.ended_at < hold.until) {
      finding.violations.push_back(
          fmt::format("its end was seen at {}, while it was held: {}", life.ended_at, describe(hold)));
    }
    if (hold.end != Hold::End::abandoned && hold.end != Hold::End::let_go) continue;
    ++finding.ran_out;
    int64_t begin = hold.last_acked;
    finding.latest_end = std::max(finding.latest_end, life.ended_at - begin - hold.ttl);
    for (const LeaderChange& change : history.leader_changes) {
      if (change.until > begin && change.from < life.ended_at) begin = std::max(begin, change.until);
    }
    const int64_t late = life.ended_at - begin - hold.ttl;
    finding.latest_end_of_term = std::max(finding.latest_end_of_term, late);
    if (late > grace) {
      finding.violations.push_back(
          fmt::format("its lease outlived its time by {} ms, to {}: {}", late, life.ended_at, describe(hold)));
    }
  }
  return finding;
}

}  // namespace nm::store
