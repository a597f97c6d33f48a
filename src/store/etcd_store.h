// The store of many hosts: an etcd cluster (3.4 or later), through its v3 API. It is etcd that decides; here is what a
// client must do so that the loss of a member is not noticed:
//
// - a call goes to a member whose connection stands. One that refuses, or does not answer in time, is left for the
// next;
//   what cannot harm is asked again there. A change that may have reached a member before the connection broke is never
//   sent twice: the answer is `unknown`, and only the caller can know what that means;
// - a watch goes on at another member where it was;
// - members that are not part of one cluster are noticed by the cluster's id.
//
// etcd's leases are used as they are. Their time begins anew when another member becomes the leader, and is kept in
// whole seconds, two at least (docs/decisions/0019-store.md).
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "store/store.h"
#include "store/url.h"

namespace nm::store {

class EtcdMembers;

class EtcdStore final : public Store {
 public:
  // Fails if a file of the options cannot be read. Connects when it is first used.
  static Result<std::unique_ptr<EtcdStore>> make(const EtcdOptions& options);
  ~EtcdStore() override;

  std::string name() const override;
  Answer<Page> get(const Query& query, TimePoint deadline) override;
  Answer<Decision> commit(const Transaction& transaction, TimePoint deadline) override;
  Answer<Grant> grant(Millis ttl, TimePoint deadline) override;
  Answer<std::vector<Millis>> keep_alive(const std::vector<LeaseId>& leases, TimePoint deadline) override;
  Answer<void> revoke(LeaseId lease, TimePoint deadline) override;
  Answer<std::unique_ptr<Watch>> watch(const std::string& prefix, Revision from) override;
  Answer<void> compact(Revision revision, TimePoint deadline) override;

 private:
  EtcdStore(std::unique_ptr<EtcdMembers> members, std::string prefix);

  const std::unique_ptr<EtcdMembers> members_;
  const std::string prefix_;  // of all keys in etcd; our callers do not see it
};

}  // namespace nm::store
