#include "store/etcd_members.h"

#include <fmt/format.h>
#include <grpc/support/log.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

namespace nm::store {
namespace {

// A member that takes longer is left for another, if a call's deadline allows: a new leader is there after 1 to 2 s.
constexpr Millis kAttempt{2500};
constexpr Millis kPause{20};  // between looks at connections, and between attempts

Result<std::string> contents(const std::string& path, const char* what) {
  if (path.empty()) return std::string();
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    return Error{fmt::format("Cannot read {}, {}: {}. See that it is there and readable for this user.", path, what,
                             std::strerror(errno))};
  }
  return text.str();
}

// etcd sends a member's own words. They are shown, but cut.
std::string words_of(const grpc::Status& status) {
  std::string text = status.error_message().substr(0, 200);
  if (text.empty()) text = fmt::format("gRPC's status {}", static_cast<int>(status.error_code()));
  return text;
}

bool says(const grpc::Status& status, std::string_view words) {
  return status.error_message().find(words) != std::string::npos;
}

// gRPC tells stderr of every connection that fails. What there is to say our callers say.
void quieten_grpc() {
  static const bool once = [] {
    if (!getenv("GRPC_VERBOSITY")) gpr_set_log_function([](gpr_log_func_args*) {});
    return true;
  }();
  (void)once;
}

grpc::ChannelArguments channel_arguments() {
  grpc::ChannelArguments arguments;
  // A member that is stopped keeps its connections open and says nothing. A ping finds that out; etcd takes offence at
  // more than one in 5 s.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 6000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 2000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // A member that comes back is found soon.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // A page, or what a watch has to catch up with, may be larger than gRPC's 4 MiB.
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  // Connections are this store's own, and no proxy of the environment's stands between.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return arguments;
}

}  // namespace

std::chrono::system_clock::time_point grpc_deadline(TimePoint deadline) {
  return std::chrono::system_clock::now() + std::min(time_left(deadline), Millis(24 * 3600 * 1000));
}

Verdict verdict_of(const grpc::Status& status) {
  if (status.ok()) return Verdict::ok;
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      // Said before the change was proposed to the others.
      return says(status, "etcdserver: no leader") || says(status, "etcdserver: not leader") ||
                     says(status, "etcdserver: leader changed")
                 ? Verdict::refused
                 : Verdict::ambiguous;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return says(status, "etcdserver: too many requests") ? Verdict::refused : Verdict::final;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::INTERNAL:
    case grpc::StatusCode::UNKNOWN:
    case grpc::StatusCode::ABORTED:
    case grpc::StatusCode::DATA_LOSS:
      return Verdict::ambiguous;
    default:
      return Verdict::final;
  }
}

Result<std::unique_ptr<EtcdMembers>> EtcdMembers::make(const EtcdOptions& options) {
  quieten_grpc();
  std::unique_ptr<EtcdMembers> members(new EtcdMembers());
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (options.tls) {
    const auto ca = contents(options.ca, "which says who may sign the members' certificates");
    const auto cert = contents(options.cert, "our certificate for etcd");
    const auto key = contents(options.key, "our key for etcd");
    for (const auto* file : {&ca, &cert, &key}) {
      if (!*file) return file->error();
    }
    credentials = grpc::SslCredentials({*ca, *key, *cert});
    if (!credentials) return Error{"The certificates for etcd cannot be used. They must be in PEM form."};
  }
  members->name_ = options.tls ? "etcds://" : "etcd://";
  for (const std::string& address : options.members) {
    if (!members->members_.empty()) members->name_ += ',';
    members->name_ += address;
    EtcdMember member{address, grpc::CreateCustomChannel(address, credentials, channel_arguments()), {}, {}, {}, {}};
    member.kv = etcdserverpb::KV::NewStub(member.channel);
    member.watch = etcdserverpb::Watch::NewStub(member.channel);
    member.lease = etcdserverpb::Lease::NewStub(member.channel);
    member.maintenance = etcdserverpb::Maintenance::NewStub(member.channel);
    members->members_.push_back(std::move(member));
  }
  return members;
}

EtcdMember* EtcdMembers::connected(TimePoint deadline, const EtcdMember* avoid, const std::atomic<bool>* give_up) {
  for (;;) {
    EtcdMember* second_best = nullptr;
    const size_t first = preferred_;
    for (size_t i = 0; i < members_.size(); ++i) {
      EtcdMember& member = members_[(first + i) % members_.size()];
      if (member.channel->GetState(true) != GRPC_CHANNEL_READY) continue;
      if (&member != avoid) return &member;
      second_best = &member;
    }
    if (second_best) return second_best;
    const Millis left = time_left(deadline);
    if (left == Millis::zero() || (give_up && *give_up)) return nullptr;
    // One of them is waited for; the others are looked at between.
    EtcdMember& member = members_[first % members_.size()];
    member.channel->WaitForStateChange(member.channel->GetState(true),
                                       grpc_deadline(std::min(deadline, Clock::now() + kPause)));
  }
}

void EtcdMembers::leave(const EtcdMember* member) {
  size_t index = static_cast<size_t>(member - members_.data());
  preferred_.compare_exchange_strong(index, (index + 1) % members_.size());
}

Answer<void> EtcdMembers::ask(TimePoint deadline, Again again, const Call& call) {
  std::string last;
  const EtcdMember* avoid = nullptr;
  for (;;) {
    EtcdMember* member = connected(deadline, avoid);
    if (!member) return unreachable(last.empty() ? why_not_connected() : last);
    grpc::ClientContext context;
    context.set_deadline(grpc_deadline(std::min(deadline, Clock::now() + kAttempt)));
    // A member that is cut off from the others says so at once instead of waiting for them.
    context.AddMetadata("hasleader", "true");
    const grpc::Status status = call(*member, context);
    const Verdict verdict = verdict_of(status);
    if (verdict == Verdict::ok) {
      // One that answers is not left for one that was slow to connect.
      preferred_ = static_cast<size_t>(member - members_.data());
      return {};
    }
    if (verdict == Verdict::final) return failure_of(status);
    leave(member);
    avoid = member;
    last = fmt::format("{}: {}", member->address, words_of(status));
    if (verdict == Verdict::ambiguous && again == Again::never_if_it_may_have_arrived) return unknown(last);
    if (time_left(deadline) == Millis::zero()) return unreachable(last);
    std::this_thread::sleep_for(std::min(time_left(deadline), kPause));
  }
}

std::string EtcdMembers::why_not_connected() {
  // The channel itself does not say; a call that it cannot send does.
  const EtcdMember& member = members_[preferred_ % members_.size()];
  grpc::ClientContext context;
  context.set_deadline(grpc_deadline(Clock::now() + Millis(50)));
  etcdserverpb::StatusResponse response;
  const grpc::Status status = member.maintenance->Status(&context, {}, &response);
  if (status.ok() || status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) return "no connection in time";
  return words_of(status);
}

bool EtcdMembers::same_cluster(const etcdserverpb::ResponseHeader& header) {
  uint64_t none = 0;
  return cluster_.compare_exchange_strong(none, header.cluster_id()) || none == header.cluster_id();
}

Failure EtcdMembers::other_cluster() const {
  return {
      Trouble::broken,
      fmt::format("The members of {} are not of one cluster, or another one than before. Name the members of one, and "
                  "start again.",
                  name_)};
}

Failure EtcdMembers::failure_of(const grpc::Status& status) const {
  if (says(status, "compacted")) {
    return {Trouble::compacted,
            fmt::format("{} keeps no history of what was asked for. Read again, and watch from there.", name_)};
  }
  if (says(status, "lease not found")) {
    return {Trouble::no_lease, "There is no such lease (any more). What was held by it is lost: ask for a new one."};
  }
  if (says(status, "database space exceeded")) {
    return {Trouble::full, fmt::format("etcd at {} has used its space; nothing was changed. Compact and defragment it, "
                                       "then `etcdctl alarm disarm`.",
                                       name_)};
  }
  switch (status.error_code()) {
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::OUT_OF_RANGE:
      return {Trouble::invalid,
              fmt::format("etcd at {} does not take the request: {}. Divide it, or look at etcd's limits.", name_,
                          words_of(status))};
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED:
      return {Trouble::unreachable,
              fmt::format("etcd at {} does not let us in: {}. Give a certificate (cert, key) that may use the prefix.",
                          name_, words_of(status))};
    default:
      return {Trouble::broken,
              fmt::format("etcd at {} fails: {}. It must be 3.4 or later; look at its log.", name_, words_of(status))};
  }
}

Failure EtcdMembers::unreachable(const std::string& last) const {
  return {Trouble::unreachable,
          fmt::format("No member of {} answers ({}). See that etcd runs there and can be reached.", name_, last)};
}

Failure EtcdMembers::unknown(const std::string& last) const {
  return {Trouble::unknown,
          fmt::format("It is not known whether {} did what was asked ({}). Read before you try again.", name_, last)};
}

}  // namespace nm::store
