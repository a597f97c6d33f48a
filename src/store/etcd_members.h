// The members of an etcd cluster: a connection to each, which of them is asked, and what an error of one means.
//
// gRPC's headers are heavy; only etcd_*.cc include this.
#pragma once

#include <grpcpp/grpcpp.h>

#include <etcd/rpc.grpc.pb.h>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "store/answer.h"
#include "store/url.h"

namespace nm::store {

struct EtcdMember {
  std::string address;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<etcdserverpb::KV::Stub> kv;
  std::unique_ptr<etcdserverpb::Watch::Stub> watch;
  std::unique_ptr<etcdserverpb::Lease::Stub> lease;
  std::unique_ptr<etcdserverpb::Maintenance::Stub> maintenance;
};

// What a status of a member means for a call.
enum class Verdict {
  ok,
  refused,    // nothing was done, and another member may do it
  ambiguous,  // it may have been done
  final,      // this is the answer; failure_of() says it
};
Verdict verdict_of(const grpc::Status& status);

class EtcdMembers {
 public:
  static Result<std::unique_ptr<EtcdMembers>> make(const EtcdOptions& options);

  const std::string& name() const { return name_; }

  // Once, or again if the caller says that it cannot harm.
  enum class Again { never_if_it_may_have_arrived, as_often_as_it_takes };
  using Call = std::function<grpc::Status(EtcdMember&, grpc::ClientContext&)>;
  // Makes `call` at a member that answers.
  Answer<void> ask(TimePoint deadline, Again again, const Call& call);

  // A member that is connected; null: there was none until the deadline, or `give_up` was set. `avoid` is taken last.
  EtcdMember* connected(TimePoint deadline, const EtcdMember* avoid = nullptr,
                        const std::atomic<bool>* give_up = nullptr);
  // The next call goes to another one.
  void leave(const EtcdMember* member);

  // All answers come from one cluster, the one that answered first.
  bool same_cluster(const etcdserverpb::ResponseHeader& header);
  Failure other_cluster() const;
  // Why there is no connection, in gRPC's words.
  std::string why_not_connected();
  // Of a status that is `final`.
  Failure failure_of(const grpc::Status& status) const;
  Failure unreachable(const std::string& last) const;
  Failure unknown(const std::string& last) const;

 private:
  EtcdMembers() = default;

  std::string name_;
  std::vector<EtcdMember> members_;
  std::atomic<size_t> preferred_ = 0;
  std::atomic<uint64_t> cluster_ = 0;
};

// gRPC takes times of the system's clock.
std::chrono::system_clock::time_point grpc_deadline(TimePoint deadline);

}  // namespace nm::store
