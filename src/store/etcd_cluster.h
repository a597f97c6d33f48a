// A real etcd cluster for tests: processes of this one, on free ports of the loopback, with data directories of their
// own. What happens to members in earnest is done to them here: kill -9, a new start, and SIGSTOP.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/process.h"
#include "base/result.h"
#include "store/scratch.h"

namespace nm::store {

class EtcdCluster {
 public:
  static bool installed();
  // Ready to take writes when it returns. With `tls`: members show a certificate for 127.0.0.1 and ask for one.
  static Result<std::unique_ptr<EtcdCluster>> start(size_t members, bool tls = false);
  ~EtcdCluster();

  size_t size() const { return members_.size(); }
  // All members, that of number `first` named first.
  std::string url(const std::string& prefix, size_t first = 0) const;
  std::string address(size_t member) const { return members_[member].client; }
  // Files of a cluster with TLS: ca.pem, client.pem, client.key; stranger.pem: a CA that signed nothing here.
  std::string file(const std::string& name) const { return scratch_ / name; }

  void kill(size_t member);
  Result<void> start_again(size_t member);
  void pause(size_t member);
  void resume(size_t member);
  bool runs(size_t member) const { return members_[member].running && !members_[member].paused; }
  // The one that those which run take for the leader; -1: they know of none, or the leader is stopped.
  int leader() const;
  // Until some member that runs has a leader that runs.
  bool wait_for_leader(int seconds) const;
  // The newest term that has a leader, of those that answer; it grows with each change of leaders. From any thread.
  uint64_t term() const;

 private:
  struct Member {
    std::string client, peer;  // "127.0.0.1:PORT"
    Process process;
    bool running = false;
    bool paused = false;
  };
  struct Probe;  // asks a member for its state
  EtcdCluster();
  Result<void> make_certificates();
  Result<void> start_all(size_t members);
  std::string last_words(size_t member) const;

  Scratch scratch_;
  bool tls_ = false;
  std::vector<Member> members_;
  std::vector<Probe> probes_;  // of each member
};

}  // namespace nm::store
