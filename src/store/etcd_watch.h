// A watch of etcd's that outlives the member it is at. A thread reads the stream and keeps what came for next(); when
// the stream breaks it opens another one, at another member, from the revision after the last that it has seen whole.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "store/etcd_members.h"
#include "store/store.h"

namespace nm::store {

class EtcdWatch final : public Watch {
 public:
  EtcdWatch(EtcdMembers& members, const std::string& store_prefix, const std::string& prefix, Revision from);
  ~EtcdWatch() override;

  Answer<Batch> next(TimePoint deadline) override;
  void stop() override;

 private:
  void follow();  // the thread
  // One stream from its beginning to its end.
  void follow_at(EtcdMember& member);
  bool take(const etcdserverpb::WatchResponse& response);  // false: the stream is of no more use
  void give_up(Failure failure);
  void set_connected(bool connected);

  EtcdMembers& members_;
  const size_t strip_;  // of etcd's keys, what our callers do not see
  const std::string begin_, end_;
  Revision from_;  // the thread's

  std::mutex mutex_;  // over all that follows
  std::condition_variable changed_;
  std::atomic<bool> stopping_ = false;
  grpc::ClientContext* stream_ = nullptr;  // while one is open
  bool connected_ = false;
  std::deque<std::vector<Event>> arrived_;  // each of whole revisions
  size_t waiting_events_ = 0;
  std::optional<Failure> failure_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace nm::store
