#include "store/etcd_store.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>

#include "store/check.h"
#include "store/etcd_members.h"
#include "store/etcd_watch.h"

namespace nm::store {
namespace {

using Again = EtcdMembers::Again;

// etcd's keys are ours with the prefix before them.
etcdserverpb::RangeRequest range_of(const Query& query, const std::string& prefix) {
  etcdserverpb::RangeRequest range;
  range.set_key(prefix + query.key);
  if (query.prefix) range.set_range_end(span_of_prefix(prefix + query.key).end);
  range.set_limit(static_cast<int64_t>(limit_of(query)));
  return range;
}

Page page_of(const etcdserverpb::RangeResponse& response, Revision revision, size_t prefix_size) {
  Page page{{}, revision, ""};
  for (const auto& kv : response.kvs()) {
    if (kv.key().size() < prefix_size) continue;
    page.entries.push_back(
        {kv.key().substr(prefix_size), kv.value(), kv.create_revision(), kv.mod_revision(), kv.lease()});
  }
  if (response.more() && !page.entries.empty()) page.next = page_token(revision, page.entries.back().key);
  return page;
}

void describe(const Compare& from, const std::string& prefix, etcdserverpb::Compare* to) {
  using Proto = etcdserverpb::Compare;
  to->set_key(prefix + from.key);
  to->set_result(Proto::EQUAL);
  switch (from.what) {
    case Compare::What::exists:
      to->set_target(Proto::CREATE);
      to->set_create_revision(0);
      if (from.present) to->set_result(Proto::GREATER);
      break;
    case Compare::What::created:
      to->set_target(Proto::CREATE);
      to->set_create_revision(from.revision);
      break;
    case Compare::What::modified:
      to->set_target(Proto::MOD);
      to->set_mod_revision(from.revision);
      break;
    case Compare::What::value:
      to->set_target(Proto::VALUE);
      to->set_value(from.value);
      break;
  }
}

void describe(const Change& from, const std::string& prefix, etcdserverpb::RequestOp* to) {
  if (from.kind == Change::Kind::erase) {
    to->mutable_request_delete_range()->set_key(prefix + from.key);
    return;
  }
  auto* put = to->mutable_request_put();
  put->set_key(prefix + from.key);
  put->set_value(from.value);
  put->set_lease(from.lease);
}

// Chosen by us and not by etcd, so that a grant can be asked for again when its answer did not come.
Result<LeaseId> random_lease() {
  uint64_t bits = 0;
  if (getrandom(&bits, sizeof bits, 0) != static_cast<ssize_t>(sizeof bits)) {
    return Error{"The kernel gives no random numbers. See that getrandom() is allowed here."};
  }
  return static_cast<LeaseId>((bits >> 1) | 1);
}

}  // namespace

Result<std::unique_ptr<EtcdStore>> EtcdStore::make(const EtcdOptions& options) {
  auto members = EtcdMembers::make(options);
  if (!members) return members.error();
  return std::unique_ptr<EtcdStore>(new EtcdStore(std::move(*members), options.prefix));
}

EtcdStore::EtcdStore(std::unique_ptr<EtcdMembers> members, std::string prefix)
    : members_(std::move(members)), prefix_(std::move(prefix)) {}

EtcdStore::~EtcdStore() = default;

std::string EtcdStore::name() const { return members_->name(); }

Answer<Page> EtcdStore::get(const Query& query, TimePoint deadline) {
  if (auto ok = check(query); !ok) return ok.failure();
  const auto position = position_of(query);
  if (!position) return position.failure();
  auto range = range_of(query, prefix_);
  if (position->revision) {
    range.set_key(prefix_ + position->last_key + '\0');
    range.set_revision(position->revision);
  }
  etcdserverpb::RangeResponse response;
  const auto done = members_->ask(
      deadline, Again::as_often_as_it_takes,
      [&](EtcdMember& member, grpc::ClientContext& context) { return member.kv->Range(&context, range, &response); });
  if (!done) return done.failure();
  if (!members_->same_cluster(response.header())) return members_->other_cluster();
  return page_of(response, position->revision ? position->revision : response.header().revision(), prefix_.size());
}

Answer<Decision> EtcdStore::commit(const Transaction& transaction, TimePoint deadline) {
  if (auto ok = check(transaction); !ok) return ok.failure();
  etcdserverpb::TxnRequest request;
  for (const Compare& compare : transaction.when) describe(compare, prefix_, request.add_compare());
  for (const Change& change : transaction.then) describe(change, prefix_, request.add_success());
  for (const Query& query : transaction.otherwise)
    *request.add_failure()->mutable_request_range() = range_of(query, prefix_);
  etcdserverpb::TxnResponse response;
  const Again again = transaction.then.empty() ? Again::as_often_as_it_takes : Again::never_if_it_may_have_arrived;
  const auto done = members_->ask(deadline, again, [&](EtcdMember& member, grpc::ClientContext& context) {
    return member.kv->Txn(&context, request, &response);
  });
  if (!done) return done.failure();
  if (!members_->same_cluster(response.header())) return members_->other_cluster();
  Decision decision{response.succeeded(), response.header().revision(), {}};
  if (decision.done) return decision;
  for (const auto& found : response.responses()) {
    decision.found.push_back(page_of(found.response_range(), decision.revision, prefix_.size()));
  }
  decision.found.resize(transaction.otherwise.size());
  return decision;
}

Answer<Grant> EtcdStore::grant(Millis ttl, TimePoint deadline) {
  if (auto ok = check_ttl(ttl); !ok) return ok.failure();
  const auto id = random_lease();
  if (!id) return Failure{Trouble::broken, id.error().message};
  etcdserverpb::LeaseGrantRequest request;
  request.set_ttl(std::chrono::ceil<std::chrono::seconds>(ttl).count());
  request.set_id(*id);
  etcdserverpb::LeaseGrantResponse response;
  bool asked_before = false;
  const auto done =
      members_->ask(deadline, Again::as_often_as_it_takes, [&](EtcdMember& member, grpc::ClientContext& context) {
        const grpc::Status status = member.lease->LeaseGrant(&context, request, &response);
        if (asked_before && status.error_message().find("lease already exists") != std::string::npos) {
          response.set_ttl(request.ttl());  // by the attempt before, whose answer did not come
          return grpc::Status::OK;
        }
        asked_before = true;
        return status;
      });
  if (!done) return done.failure();
  if (response.has_header() && !members_->same_cluster(response.header())) return members_->other_cluster();
  return Grant{*id, std::chrono::seconds(response.ttl())};
}

Answer<std::vector<Millis>> EtcdStore::keep_alive(const std::vector<LeaseId>& leases, TimePoint deadline) {
  // As many as lie in a stream's window: all are sent before the first answer is read.
  constexpr size_t kAtOnce = 256;
  std::vector<Millis> left(leases.size());
  for (size_t begin = 0; begin < leases.size(); begin += kAtOnce) {
    const size_t end = std::min(leases.size(), begin + kAtOnce);
    const auto done =
        members_->ask(deadline, Again::as_often_as_it_takes, [&](EtcdMember& member, grpc::ClientContext& context) {
          const auto stream = member.lease->LeaseKeepAlive(&context);
          etcdserverpb::LeaseKeepAliveRequest request;
          etcdserverpb::LeaseKeepAliveResponse response;
          size_t answered = begin;
          bool sent = true;
          for (size_t i = begin; i < end && sent; ++i) {
            request.set_id(leases[i]);
            sent = stream->Write(request);
          }
          if (sent) stream->WritesDone();
          // Answers come in the order of the questions.
          while (answered < end && stream->Read(&response) && response.id() == leases[answered]) {
            left[answered++] = std::chrono::seconds(std::max<int64_t>(response.ttl(), 0));
          }
          if (answered < end) context.TryCancel();
          const grpc::Status status = stream->Finish();
          if (answered == end) return grpc::Status::OK;
          return status.ok() ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "it ended a keep-alive without an answer")
                             : status;
        });
    if (!done) return done.failure();
  }
  return left;
}

Answer<void> EtcdStore::revoke(LeaseId lease, TimePoint deadline) {
  if (lease <= 0) return {};
  etcdserverpb::LeaseRevokeRequest request;
  request.set_id(lease);
  return members_->ask(deadline, Again::as_often_as_it_takes, [&](EtcdMember& member, grpc::ClientContext& context) {
    etcdserverpb::LeaseRevokeResponse response;
    const grpc::Status status = member.lease->LeaseRevoke(&context, request, &response);
    return status.error_code() == grpc::StatusCode::NOT_FOUND ? grpc::Status::OK : status;
  });
}

Answer<void> EtcdStore::compact(Revision revision, TimePoint deadline) {
  etcdserverpb::CompactionRequest request;
  request.set_revision(revision);
  return members_->ask(deadline, Again::as_often_as_it_takes, [&](EtcdMember& member, grpc::ClientContext& context) {
    etcdserverpb::CompactionResponse response;
    const grpc::Status status = member.kv->Compact(&context, request, &response);
    return status.error_message().find("has been compacted") != std::string::npos ? grpc::Status::OK : status;
  });
}

Answer<std::unique_ptr<Watch>> EtcdStore::watch(const std::string& prefix, Revision from) {
  if (auto ok = check_watch(prefix, from); !ok) return ok.failure();
  return std::unique_ptr<Watch>(std::make_unique<EtcdWatch>(*members_, prefix_, prefix, from));
}

}  // namespace nm::store
