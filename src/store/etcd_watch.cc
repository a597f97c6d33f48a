#include "store/etcd_watch.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/check.h"

namespace nm::store {
namespace {

// With so many unread, no more is read: etcd keeps the rest.
constexpr size_t kUnread = 10'000;
constexpr Millis kPause{100};  // before another stream, when one broke

}  // namespace

EtcdWatch::EtcdWatch(EtcdMembers& members, const std::string& store_prefix, const std::string& prefix, Revision from)
    : members_(members),
      strip_(store_prefix.size()),
      begin_(store_prefix + prefix),
      end_(span_of_prefix(store_prefix + prefix).end),
      from_(from),
      thread_([this] { follow(); }) {}

EtcdWatch::~EtcdWatch() {
  stop();
  thread_.join();
}

void EtcdWatch::stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  if (stream_) stream_->TryCancel();
  changed_.notify_all();
}

Answer<Batch> EtcdWatch::next(TimePoint deadline) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline, [this] { return stopping_ || !arrived_.empty() || failure_; });
  if (stopping_) return Failure{Trouble::stopped, "The watch was stopped."};
  Batch batch{{}, connected_};
  if (!arrived_.empty()) {
    batch.events = std::move(arrived_.front());
    arrived_.pop_front();
    waiting_events_ -= batch.events.size();
    changed_.notify_all();
    return batch;
  }
  if (failure_) return *failure_;
  return batch;
}

void EtcdWatch::give_up(Failure failure) {
  const std::lock_guard lock(mutex_);
  failure_ = std::move(failure);
  changed_.notify_all();
}

void EtcdWatch::set_connected(bool connected) {
  const std::lock_guard lock(mutex_);
  connected_ = connected;
}

void EtcdWatch::follow() {
  const EtcdMember* last = nullptr;
  while (!stopping_) {
    EtcdMember* member = members_.connected(Clock::now() + Millis(1000), last, &stopping_);
    if (!member) continue;
    follow_at(*member);
    set_connected(false);
    std::unique_lock lock(mutex_);
    if (failure_) return;
    last = member;
    changed_.wait_for(lock, kPause, [this] { return stopping_.load(); });
  }
}

void EtcdWatch::follow_at(EtcdMember& member) {
  grpc::ClientContext context;
  // The member ends the watch when it is cut off from the others, and would tell nothing.
  context.AddMetadata("hasleader", "true");
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    stream_ = &context;
  }
  const auto stream = member.watch->Watch(&context);
  etcdserverpb::WatchRequest request;
  request.mutable_create_request()->set_key(begin_);
  // etcd takes "\0" for "no end".
  request.mutable_create_request()->set_range_end(end_.empty() ? std::string(1, '\0') : end_);
  request.mutable_create_request()->set_start_revision(from_);
  etcdserverpb::WatchResponse response;
  if (stream->Write(request)) {
    while (stream->Read(&response) && take(response)) {
    }
  }
  context.TryCancel();
  {
    const std::lock_guard lock(mutex_);
    stream_ = nullptr;
  }
  stream->Finish();
}

bool EtcdWatch::take(const etcdserverpb::WatchResponse& response) {
  if (!members_.same_cluster(response.header())) {
    give_up(members_.other_cluster());
    return false;
  }
  if (response.compact_revision() != 0) {
    give_up(compacted(members_.name(), from_, response.compact_revision()));
    return false;
  }
  if (response.canceled()) return false;
  std::vector<Event> events;
  for (const auto& event : response.events()) {
    const auto& kv = event.kv();
    // Nothing twice, whatever a member says.
    if (kv.mod_revision() < from_ || kv.key().size() < strip_) continue;
    if (event.type() == mvccpb::Event::PUT) {
      events.push_back({Event::Kind::put,
                        {kv.key().substr(strip_), kv.value(), kv.create_revision(), kv.mod_revision(), kv.lease()}});
    } else {
      events.push_back({Event::Kind::erased, {kv.key().substr(strip_), "", 0, kv.mod_revision(), 0}});
    }
  }
  std::unique_lock lock(mutex_);
  connected_ = true;
  if (events.empty()) return true;
  // A response has whole revisions: fragments were not asked for.
  from_ = events.back().entry.modified + 1;
  changed_.wait(lock, [this] { return stopping_ || waiting_events_ < kUnread; });
  waiting_events_ += events.size();
  arrived_.push_back(std::move(events));
  changed_.notify_all();
  return true;
}

}  // namespace nm::store
