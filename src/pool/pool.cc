// What happened, entered into the books.
#include "pool/pool.h"

#include <fmt/format.h>

#include <algorithm>

#include "pool/text.h"

namespace nm::pool {
namespace {

std::string quoted(const std::string& id) { return printable(id) ? id : "?"; }

}  // namespace

Result<void> Pool::apply(const Event& event, Time now) {
  now_ = std::max(now_, now);
  return std::visit([&](const auto& happened) { return on(happened); }, event);
}

Lease& Pool::enter(Lease lease) {
  // The devices of a host stand together, whatever order they came in.
  std::stable_sort(lease.devices.begin(), lease.devices.end(),
                   [](const Held& a, const Held& b) { return a.host < b.host; });
  const std::string id = lease.id;
  Lease& entered = leases_[id] = std::move(lease);
  cluster_.hold(&entered);
  for (const Held& held : entered.devices) by_host_[held.host].insert(id);
  by_claim_.insert(entered.claim.id);
  if (!entered.ending && entered.until != kNever) by_until_.insert({entered.until, id});
  if (!entered.ending && entered.borrowed) borrowed_by_[entered.claim.project].insert({entered.granted, id});
  use(entered.claim.project).change(entered.charge, entered.borrowed ? 0 : entered.charge, now_, policy_.half_life);
  return entered;
}

void Pool::end(Lease& lease) {
  by_until_.erase({lease.until, lease.id});
  if (const auto borrowed = borrowed_by_.find(lease.claim.project); borrowed != borrowed_by_.end()) {
    borrowed->second.erase({lease.granted, lease.id});
    if (borrowed->second.empty()) borrowed_by_.erase(borrowed);
  }
  lease.ending = true;
  cluster_.changed(&lease);
}

void Pool::leave(const std::string& id) {
  Lease& lease = leases_.at(id);
  if (!lease.ending) end(lease);
  cluster_.release(&lease);
  for (const Held& held : lease.devices) {
    const auto host = by_host_.find(held.host);
    if (host == by_host_.end()) continue;
    host->second.erase(id);
    if (host->second.empty()) by_host_.erase(host);
  }
  by_claim_.erase(lease.claim.id);
  use(lease.claim.project).change(-lease.charge, lease.borrowed ? 0 : -lease.charge, now_, policy_.half_life);
  origins_.erase(id);
  leases_.erase(id);
  gained_ = true;
}

void Pool::lose(const std::string& id, const std::string& host) {
  Lease& lease = leases_.at(id);
  if (lease.ending) return;
  end(lease);
  pending_.push_back(Lost{id, host});
}

Result<void> Pool::on(const HostUp& event) {
  if (auto good = check(event.host); !good) return good;
  Host host = event.host;
  for (Device& device : host.devices) {  // what is left is ours to know
    device.memory_left = device.memory;
    device.share_left = kWhole;
    device.held = Path::any;
  }
  std::vector<const Lease*> here;
  std::vector<std::string> lost;
  if (const auto leases = by_host_.find(host.id); leases != by_host_.end()) {
    for (const std::string& id : leases->second) {
      const Lease& lease = leases_.at(id);
      here.push_back(&lease);
      const auto gone = [&](const Held& held) { return held.host == host.id && !host.find(held.device); };
      if (std::any_of(lease.devices.begin(), lease.devices.end(), gone)) lost.push_back(id);
    }
  }
  const std::string id = host.id;
  cluster_.put(std::move(host), here);
  for (const std::string& lease : lost) lose(lease, id);
  gained_ = true;
  return {};
}

Result<void> Pool::on(const HostGone& event) {
  if (!cluster_.find(event.host))
    return Error{fmt::format("Host {} is not in the pool. Nothing was done.", quoted(event.host))};
  cluster_.drop(event.host);
  if (const auto leases = by_host_.find(event.host); leases != by_host_.end()) {
    for (const std::string& id : leases->second) lose(id, event.host);
  }
  gained_ = true;  // hosts that were kept together with it are free
  return {};
}

Result<void> Pool::on(const Submitted& event) {
  if (auto good = check(event.claim); !good) return good;
  const std::string& id = event.claim.id;
  if (queue_.find(id) || by_claim_.contains(id)) {
    return Error{fmt::format("Claim {} is here already. Give the new one another id.", id)};
  }
  queue_.add(event.claim, next_number_++, now_, cluster_, policy_.order);
  fresh_.push_back(id);
  return {};
}

Result<void> Pool::on(const Withdrawn& event) {
  if (!queue_.find(event.claim)) {
    return Error{fmt::format("Claim {} does not wait: it was granted, refused or never made.", quoted(event.claim))};
  }
  drop_promise(event.claim);
  queue_.remove(event.claim, policy_.order);
  std::erase(fresh_, event.claim);
  gained_ = true;  // who was held back for it goes on
  return {};
}

Result<void> Pool::on(const Ended& event) {
  if (!leases_.contains(event.lease))
    return Error{fmt::format("Lease {} is not there: it has ended before.", quoted(event.lease))};
  leave(event.lease);
  return {};
}

Result<void> Pool::on(const NotKept& event) {
  const auto found = leases_.find(event.lease);
  if (found == leases_.end())
    return Error{fmt::format("Lease {} is not there: it has ended before.", quoted(event.lease))};
  const Claim claim = found->second.claim;
  const auto origin = origins_.find(event.lease);
  const Origin from = origin == origins_.end() ? Origin{next_number_++, now_} : origin->second;
  leave(event.lease);
  queue_.add(claim, from.number, from.since, cluster_, policy_.order);
  return {};
}

Result<void> Pool::on(const Extended& event) {
  const auto found = leases_.find(event.lease);
  if (found == leases_.end())
    return Error{fmt::format("Lease {} is not there: it has ended before.", quoted(event.lease))};
  Lease& lease = found->second;
  if (lease.ending) return Error{fmt::format("Lease {} is ending and cannot be extended. Claim anew.", lease.id)};
  if (event.until <= now_)
    return Error{fmt::format("Lease {} cannot be made to end in the past. End it instead.", lease.id)};
  by_until_.erase({lease.until, lease.id});
  lease.until = event.until;
  if (lease.until != kNever) by_until_.insert({lease.until, lease.id});
  cluster_.changed(&lease);
  return {};
}

Result<void> Pool::on(const PolicyChanged& event) {
  Queue queue;
  for (const auto& [id, waiting] : queue_.waiting()) {
    queue.add(waiting.claim, waiting.number, waiting.since, cluster_, event.policy.order).promised = waiting.promised;
  }
  queue_ = std::move(queue);
  policy_ = event.policy;
  gained_ = true;
  return {};
}

Result<void> Pool::adopt(const Lease& lease) {
  if (auto good = check(lease); !good) return good;
  if (leases_.contains(lease.id)) return Error{fmt::format("Lease {} is there twice. Keep one of them.", lease.id)};
  if (by_claim_.contains(lease.claim.id))
    return Error{fmt::format("Claim {} has two leases. End one of them.", lease.claim.id)};
  Lease known = lease;  // what is on hosts that have not joined yet conflicts with nothing
  std::erase_if(known.devices, [&](const Held& held) {
    const HostEntry* entry = cluster_.find(held.host);
    return !entry || !entry->host.find(held.device);
  });
  if (auto good = cluster_.can_hold(known); !good) return good;
  enter(lease);
  return {};
}

Result<Pool> Pool::rebuild(Policy policy, const Contents& contents) {
  Pool pool(std::move(policy));
  pool.now_ = contents.now;
  for (const Host& host : contents.hosts) {
    if (auto done = pool.on(HostUp{host}); !done) return done.error();
  }
  for (const Lease& lease : contents.leases) {
    if (auto done = pool.adopt(lease); !done) return done.error();
  }
  for (const auto& [project, use] : contents.uses) {
    pool.uses_[project].average = use.average;
    pool.uses_[project].at = use.at;
  }
  for (const auto& waiter : contents.waiting) {
    if (auto good = check(waiter.claim); !good) return good.error();
    if (pool.queue_.find(waiter.claim.id) || pool.by_claim_.contains(waiter.claim.id)) {
      return Error{fmt::format("Claim {} is there twice, or waits and has a lease. Withdraw it.", waiter.claim.id)};
    }
    pool.queue_.add(waiter.claim, waiter.number, waiter.since, pool.cluster_, pool.policy_.order);
    pool.next_number_ = std::max(pool.next_number_, waiter.number + 1);
  }
  for (const Promise& promise : contents.promises) {
    Waiting* waiting = pool.queue_.find(promise.claim);
    std::vector<HostEntry*> hosts;
    for (const std::string& id : promise.hosts) {
      if (HostEntry* host = pool.cluster_.find(id); host && !host->reserved()) hosts.push_back(host);
    }
    if (waiting && !hosts.empty()) pool.promise(*waiting, hosts, promise.by, promise.taken);
  }
  pool.next_number_ = std::max(pool.next_number_, contents.next_number);
  pool.next_lease_ = contents.next_lease;
  pool.gained_ = true;
  return pool;
}

Contents Pool::contents() const {
  Contents all{.hosts = cluster_.snapshot(), .promises = promises_, .uses = uses_};
  for (const auto& [id, lease] : leases_) all.leases.push_back(lease);
  for (const auto& [id, waiting] : queue_.waiting())
    all.waiting.push_back({waiting.claim, waiting.number, waiting.since});
  all.next_number = next_number_;
  all.next_lease = next_lease_;
  all.now = now_;
  return all;
}

}  // namespace nm::pool
