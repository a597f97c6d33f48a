#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <random>
#include <thread>

#include "store/history.h"
#include "store/open.h"

namespace nm::store {
namespace {

constexpr const char* kPrefix = "gpu/";
constexpr const char* kEnd = "gpu/~end";  // the last thing that watchers see

TimePoint at(int64_t ms) { return TimePoint(std::chrono::duration_cast<Clock::duration>(Millis(ms))); }

void sleep_until(int64_t ms) { std::this_thread::sleep_until(at(ms)); }

class Client {
 public:
  Client(const ClientPlan& plan, int number, History& history, int64_t stop)
      : plan_(plan),
        number_(number),
        history_(history),
        stop_(stop),
        random_(plan.seed * 1000 + static_cast<uint64_t>(number)) {
    auto store = open_store(plan.urls[static_cast<size_t>(number) % plan.urls.size()]);
    if (store) store_ = std::move(*store);
  }

  void run() {
    for (int n = 0; store_ && now_ms() < stop_; ++n) claim(fmt::format("client{}-{}", number_, n));
  }

 private:
  int64_t between(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(random_); }

  void claim(const std::string& token) {
    Hold hold;
    hold.gpu = kPrefix + std::to_string(between(0, plan_.gpus - 1));
    hold.token = token;
    hold.last_sent = now_ms();
    const auto grant = store_->grant(plan_.ttl, at(now_ms() + 5000));
    if (!grant) return sleep_until(now_ms() + 50);
    hold.last_acked = now_ms();
    hold.ttl = grant->ttl.count();
    {
      const std::lock_guard lock(history_.mutex);
      history_.tried.insert(token);
    }
    const auto decision = store_->commit(
        {{absent(hold.gpu)}, {put(hold.gpu, token, grant->id)}, {Query::one(hold.gpu)}}, at(now_ms() + 5000));
    hold.from = now_ms();
    if (decision && decision->done) {
      hold.revision = decision->revision;
      keep(hold, grant->id);
      const std::lock_guard lock(history_.mutex);
      history_.holds.push_back(hold);
      return;
    }
    {
      const std::lock_guard lock(history_.mutex);
      if (decision) ++history_.refused;
      if (!decision && decision.trouble() == Trouble::unknown) ++history_.unknown;
      if (!decision && decision.trouble() == Trouble::no_lease && hold.from < hold.last_sent + hold.ttl) {
        history_.troubles.push_back(fmt::format("{}: the lease {:x}, granted {} ms ago, is gone", token, grant->id,
                                                hold.from - hold.last_sent));
      }
    }
    // Whatever became of the claim: without its lease it is undone, and can be done no more.
    end_lease(grant->id);
    sleep_until(now_ms() + between(10, 100));
  }

  // Holds it for a while, and ends it in one of the ways there are.
  void keep(Hold& hold, LeaseId lease) {
    // Many are short, so that there is always a claim under way; some need to be kept alive.
    const int64_t wish = between(0, 2) ? between(10, 150) : between(100, 3 * hold.ttl / 2);
    const int64_t end = std::min(hold.from + wish, std::max(stop_, hold.from));
    const bool die = between(0, 9) < 3;
    for (;;) {
      if (now_ms() >= hold.last_sent + hold.ttl) return let_go(hold);
      const int64_t next = hold.last_sent + hold.ttl / 3;
      if (end <= next) {
        sleep_until(end);
        if (now_ms() >= hold.last_sent + hold.ttl) return let_go(hold);
        break;
      }
      sleep_until(next);
      const int64_t sent = now_ms();
      if (sent >= hold.last_sent + hold.ttl) return let_go(hold);
      const auto left = store_->keep_alive({lease}, at(hold.last_sent + hold.ttl));
      const int64_t answered = now_ms();
      if (left && left->at(0) == Millis::zero()) {
        hold.end = Hold::End::taken;
        hold.taken_at = answered;
        hold.until = std::min(answered, hold.last_sent + hold.ttl);
        return;
      }
      if (left) {
        hold.last_sent = sent;
        hold.last_acked = answered;
      } else {
        sleep_until(now_ms() + 50);
      }
    }
    hold.until = std::min(now_ms(), hold.last_sent + hold.ttl);
    if (die) {
      hold.end = Hold::End::abandoned;
      return;
    }
    hold.end = Hold::End::released;
    const auto released =
        store_->commit({{value_is(hold.gpu, hold.token)}, {erase(hold.gpu)}, {}}, at(now_ms() + 5000));
    if (!released || released->done) return end_lease(lease);
    // It is not there any more. That may only be if its time came while we asked.
    if (now_ms() < hold.last_sent + hold.ttl) {
      const std::lock_guard lock(history_.mutex);
      history_.troubles.push_back(fmt::format("{} of {} was gone {} ms after the last keep-alive", hold.gpu, hold.token,
                                              now_ms() - hold.last_sent));
    }
  }

  void let_go(Hold& hold) {
    hold.end = Hold::End::let_go;
    hold.until = std::max(hold.from, hold.last_sent + hold.ttl);
  }

  void end_lease(LeaseId lease) {
    // Until it is done, or there is nothing more to end.
    const int64_t over = now_ms() + 2 * plan_.ttl.count() + 10'000;
    while (now_ms() < over && !store_->revoke(lease, at(now_ms() + 2000))) sleep_until(now_ms() + 20);
  }

  const ClientPlan& plan_;
  const int number_;
  History& history_;
  const int64_t stop_;
  std::mt19937_64 random_;
  std::unique_ptr<Store> store_;
};

void watch_all(Store& store, Revision from, std::vector<Seen>* seen, std::string* trouble) {
  auto watch = store.watch(kPrefix, from);
  const int64_t give_up = now_ms() + 300'000;
  while (watch && now_ms() < give_up) {
    auto batch = (*watch)->next(at(now_ms() + 1000));
    if (!batch) {
      *trouble = "a watcher ended: " + batch.error().message;
      return;
    }
    const int64_t now = now_ms();
    for (Event& event : batch->events) {
      if (event.entry.key == kEnd) return;
      seen->push_back({now, std::move(event)});
    }
  }
  *trouble = "a watcher did not see the end";
}

}  // namespace

void run_clients(const ClientPlan& plan, History& history, const std::function<void()>& harm) {
  std::vector<std::unique_ptr<Store>> stores;
  for (const std::string& url : plan.urls) {
    auto store = open_store(url);
    if (!store) return history.troubles.push_back(store.error().message);
    stores.push_back(std::move(*store));
  }
  const auto begin = stores[0]->get(Query::all_under(kPrefix), at(now_ms() + 30'000));
  if (!begin) return history.troubles.push_back(begin.error().message);

  history.seen.resize(stores.size());
  std::vector<std::string> troubles(stores.size());
  std::vector<std::thread> watchers, clients;
  for (size_t i = 0; i < stores.size(); ++i) {
    watchers.emplace_back([&, i] { watch_all(*stores[i], begin->revision + 1, &history.seen[i], &troubles[i]); });
  }
  const int64_t stop = now_ms() + plan.run.count();
  for (int i = 0; i < plan.clients; ++i) clients.emplace_back([&, i] { Client(plan, i, history, stop).run(); });
  harm();
  for (std::thread& client : clients) client.join();

  // All that was abandoned must end by itself.
  const int64_t patience = now_ms() + plan.ttl.count() + 60'000;
  for (;;) {
    const auto left = stores[0]->get(Query::all_under(kPrefix), at(now_ms() + 5000));
    if ((left && left->entries.empty()) || now_ms() > patience) break;
    sleep_until(now_ms() + 50);
  }
  Answer<Decision> marked = Decision{};
  do {
    marked = stores[0]->commit({{}, {put(kEnd, "")}, {}}, at(now_ms() + 5000));
  } while (!marked && now_ms() < patience);
  for (std::thread& watcher : watchers) watcher.join();
  for (const std::string& trouble : troubles) {
    if (!trouble.empty()) history.troubles.push_back(trouble);
  }
  while (!stores[0]->commit({{}, {erase(kEnd)}, {}}, at(now_ms() + 5000)) && now_ms() < patience)
    sleep_until(now_ms() + 50);
}

}  // namespace nm::store
