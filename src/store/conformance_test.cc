// What every store does, whatever it is made of.
#include "store/conformance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "base/process.h"

namespace nm::store {
namespace {

class Conformance : public testing::TestWithParam<Place*> {
 protected:
  void SetUp() override {
    GetParam()->renew();
    store_ = GetParam()->open();
    ASSERT_TRUE(store_);
  }

  Decision commit(const Transaction& transaction) {
    auto decision = store_->commit(transaction, soon());
    EXPECT_TRUE(decision) << decision.error().message;
    return decision ? *decision : Decision{};
  }
  Revision put_one(const std::string& key, const std::string& value, LeaseId lease = 0) {
    return commit({{}, {put(key, value, lease)}, {}}).revision;
  }
  Page get(const Query& query) {
    auto page = store_->get(query, soon());
    EXPECT_TRUE(page) << page.error().message;
    return page ? *page : Page{};
  }
  Revision now() { return get(Query::one("nothing")).revision; }
  std::vector<std::string> keys(const Query& query) {
    std::vector<std::string> out;
    for (const Entry& entry : get(query).entries) out.push_back(entry.key);
    return out;
  }
  LeaseId grant(Millis ttl) {
    auto grant = store_->grant(ttl, soon());
    EXPECT_TRUE(grant) << grant.error().message;
    return grant ? grant->id : 0;
  }
  // Waits for `count` events.
  std::vector<Event> events(Watch& watch, size_t count, Millis within = Millis(30'000)) {
    std::vector<Event> out;
    const TimePoint deadline = in(within);
    while (out.size() < count && Clock::now() < deadline) {
      auto batch = watch.next(deadline);
      if (!batch) {
        ADD_FAILURE() << batch.error().message;
        break;
      }
      out.insert(out.end(), batch->events.begin(), batch->events.end());
    }
    return out;
  }
  std::unique_ptr<Watch> watch(const std::string& prefix, Revision from) {
    auto watch = store_->watch(prefix, from);
    EXPECT_TRUE(watch) << watch.error().message;
    return watch ? std::move(*watch) : nullptr;
  }

  std::unique_ptr<Store> store_;
};

// --- revisions
// --------------------------------------------------------------------------------------------------------

TEST_P(Conformance, every_change_takes_the_next_revision_and_nothing_else_does) {
  const Revision start = now();
  EXPECT_GE(start, 1);
  EXPECT_EQ(put_one("a", "1"), start + 1);
  EXPECT_EQ(commit({{}, {put("b", "1"), put("c", "1")}, {}}).revision, start + 2) << "one transaction, one revision";
  EXPECT_EQ(commit({{}, {erase("nobody")}, {}}).revision, start + 2) << "nothing was there";
  EXPECT_EQ(commit({{exists("nobody")}, {put("d", "")}, {}}).revision, start + 2) << "it was not done";
  EXPECT_EQ(commit({{}, {}, {}}).revision, start + 2) << "nothing was asked for";
  EXPECT_EQ(commit({{}, {erase("a"), erase("nobody")}, {}}).revision, start + 3);
  EXPECT_EQ(now(), start + 3);
}

TEST_P(Conformance, an_entry_tells_when_it_was_made_and_last_put) {
  const Revision first = put_one("a", "1"), second = put_one("a", "2");
  EXPECT_EQ(get(Query::one("a")).entries, (std::vector<Entry>{{"a", "2", first, second, 0}}));
  commit({{}, {erase("a")}, {}});
  EXPECT_TRUE(get(Query::one("a")).entries.empty());
  const Revision third = put_one("a", "");
  EXPECT_EQ(get(Query::one("a")).entries, (std::vector<Entry>{{"a", "", third, third, 0}})) << "made anew";
}

// --- transactions
// -----------------------------------------------------------------------------------------------------

TEST_P(Conformance, compares_hold_for_what_is_and_for_nothing_else) {
  const Revision made = put_one("a", "1"), put_again = put_one("a", "2");
  put_one("empty", "");
  const std::vector<std::pair<Compare, bool>> table = {
      {exists("a"), true},
      {exists("b"), false},
      {absent("a"), false},
      {absent("b"), true},
      {created_at("a", made), true},
      {created_at("a", put_again), false},
      {created_at("b", 0), true},
      {created_at("a", 0), false},
      {modified_at("a", put_again), true},
      {modified_at("a", made), false},
      {modified_at("b", 0), true},
      {modified_at("a", 0), false},
      {value_is("a", "2"), true},
      {value_is("a", "1"), false},
      {value_is("a", ""), false},
      {value_is("empty", ""), true},
      {value_is("b", ""), false},
      {value_is("b", "2"), false},
  };
  for (size_t i = 0; i < table.size(); ++i) {
    EXPECT_EQ(commit({{table[i].first}, {}, {}}).done, table[i].second) << "row " << i;
    EXPECT_EQ(commit({{exists("a"), table[i].first}, {}, {}}).done, table[i].second) << "all must hold, row " << i;
    EXPECT_FALSE(commit({{table[i].first, absent("a")}, {}, {}}).done) << "all must hold, row " << i;
  }
}

TEST_P(Conformance, a_transaction_that_is_refused_reads_what_it_was_told_to) {
  put_one("gpu/1", "anna");
  put_one("gpu/2", "bert");
  const Decision refused = commit({{absent("gpu/1")},
                                   {put("gpu/1", "carl")},
                                   {Query::one("gpu/1"), Query::all_under("gpu/", 1), Query::one("gpu/3")}});
  EXPECT_FALSE(refused.done);
  ASSERT_EQ(refused.found.size(), 3u);
  ASSERT_EQ(refused.found[0].entries.size(), 1u);
  EXPECT_EQ(refused.found[0].entries[0].value, "anna");
  EXPECT_EQ(refused.found[1].entries.size(), 1u);
  EXPECT_FALSE(refused.found[1].next.empty()) << "there is a second page";
  EXPECT_EQ(keys({"gpu/", true, 0, refused.found[1].next}), std::vector<std::string>{"gpu/2"});
  EXPECT_TRUE(refused.found[2].entries.empty());
  const Decision done = commit({{absent("gpu/3")}, {put("gpu/3", "carl")}, {Query::one("gpu/3")}});
  EXPECT_TRUE(done.done);
  EXPECT_TRUE(done.found.empty());
}

TEST_P(Conformance, a_transaction_is_done_whole_or_not_at_all) {
  const Revision before = put_one("a", "1");
  const auto failed = store_->commit({{}, {put("a", "2"), put("b", "2", 12345), erase("c")}, {}}, soon());
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.trouble(), Trouble::no_lease) << failed.error().message;
  EXPECT_EQ(now(), before);
  EXPECT_EQ(get(Query::one("a")).entries.at(0).value, "1");
}

TEST_P(Conformance, what_no_store_takes_is_refused_with_a_sentence) {
  std::vector<Change> many;
  for (size_t i = 0; i <= kMaxOperations; ++i) many.push_back(put("k" + std::to_string(i), ""));
  const std::vector<Transaction> bad = {
      {{}, {put("", "x")}, {}},
      {{}, {put(std::string(1 << 20, 'k'), "x")}, {}},
      {{}, {put("a", "1"), erase("a")}, {}},
      {{absent("")}, {}, {}},
      {{absent(std::string(kMaxKey + 1, 'k'))}, {}, {}},
      {{modified_at("a", -1)}, {}, {}},
      {{}, {}, {Query::one("")}},
      {{}, many, {}},
  };
  const Revision before = now();
  for (size_t i = 0; i < bad.size(); ++i) {
    const auto answer = store_->commit(bad[i], soon());
    ASSERT_FALSE(answer) << i;
    EXPECT_EQ(answer.trouble(), Trouble::invalid) << i;
    EXPECT_EQ(answer.error().message.back(), '.') << answer.error().message;
    EXPECT_LT(answer.error().message.size(), 300u) << i;
  }
  EXPECT_EQ(now(), before);
  EXPECT_EQ(store_->get(Query::one(""), soon()).trouble(), Trouble::invalid);
  EXPECT_EQ(store_->get(Query::one(std::string(1 << 20, 'k')), soon()).trouble(), Trouble::invalid);
  EXPECT_EQ(store_->grant(Millis(0), soon()).trouble(), Trouble::invalid);
  EXPECT_EQ(store_->grant(Millis(-5), soon()).trouble(), Trouble::invalid);
  EXPECT_EQ(store_->watch("a", 0).trouble(), Trouble::invalid);
}

TEST_P(Conformance, keys_and_values_are_bytes) {
  const std::vector<std::string> odd = {
      std::string("\0", 1), std::string("a\0b", 3),   std::string("a\0", 2),    "a", "\xff", "\xff\xff", "ä/ö",
      "line\nbreak",        "'; DROP TABLE live; --", std::string(kMaxKey, 'k')};
  for (const std::string& key : odd) put_one(key, key + '\0');
  for (const std::string& key : odd) {
    const Page page = get(Query::one(key));
    ASSERT_EQ(page.entries.size(), 1u);
    EXPECT_EQ(page.entries[0].key, key);
    EXPECT_EQ(page.entries[0].value, key + '\0');
  }
  std::vector<std::string> sorted = odd;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(keys(Query::all_under("")), sorted);
  EXPECT_EQ(keys(Query::all_under("\xff")), (std::vector<std::string>{"\xff", "\xff\xff"}));
  EXPECT_EQ(keys(Query::all_under("a")),
            (std::vector<std::string>{"a", std::string("a\0", 2), std::string("a\0b", 3)}));
  EXPECT_EQ(keys(Query::one("a")), (std::vector<std::string>{"a"}));
}

TEST_P(Conformance, a_transaction_may_have_a_mebibyte_and_a_half_and_no_more) {
  const std::string large(kMaxTransaction - 128 - 1, 'v');
  put_one("k", large);
  EXPECT_TRUE(get(Query::one("k")).entries.at(0).value == large);
  const auto refused = store_->commit({{}, {put("k", large + "v")}, {}}, soon());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.trouble(), Trouble::invalid);
  EXPECT_NE(refused.error().message.find("1.5 MiB"), std::string::npos) << refused.error().message;
  for (int i = 0; i < 3; ++i) put_one("k" + std::to_string(i), large.substr(1));
  EXPECT_EQ(get(Query::all_under("k")).entries.size(), 4u) << "a page may have more than a transaction";
}

// --- pages
// ------------------------------------------------------------------------------------------------------------

TEST_P(Conformance, pages_are_of_one_moment) {
  for (int i = 0; i < 25; ++i) put_one("p/" + std::to_string(100 + i), "old");
  put_one("q", "");
  Query query = Query::all_under("p/", 10);
  Page page = get(query);
  const Revision then = page.revision;
  std::vector<Entry> all = page.entries;
  // While somebody goes through the pages, others go on.
  put_one("p/115", "new");
  commit({{}, {erase("p/120")}, {}});
  put_one("p/119a", "new");
  int pages = 1;
  for (; !page.next.empty(); ++pages) {
    query.after = page.next;
    page = get(query);
    EXPECT_EQ(page.revision, then);
    all.insert(all.end(), page.entries.begin(), page.entries.end());
  }
  EXPECT_EQ(pages, 3);
  ASSERT_EQ(all.size(), 25u);
  for (int i = 0; i < 25; ++i) {
    EXPECT_EQ(all[i].key, "p/" + std::to_string(100 + i));
    EXPECT_EQ(all[i].value, "old") << all[i].key;
    EXPECT_LE(all[i].modified, then);
  }
  EXPECT_EQ(get(Query::all_under("p/")).entries.size(), 25u) << "one more and one less";
}

TEST_P(Conformance, a_page_token_that_is_not_one_is_refused) {
  put_one("p/1", "");
  for (const char* token :
       {"x", ":", "1", "-1:p/1", "0:p/1", "99999999999999999999:p/1", "1:q", "9000000000000000000:p/1", " 1:p/1"}) {
    const auto answer = store_->get({"p/", true, 1, token}, soon());
    ASSERT_FALSE(answer) << token;
    EXPECT_EQ(answer.trouble(), Trouble::invalid) << token << ": " << answer.error().message;
  }
}

// --- leases
// -----------------------------------------------------------------------------------------------------------

// A busy machine may stop a test for longer than a lease lives. Then the lease is rightly gone, and it is tried again.
constexpr int kTries = 10;

TEST_P(Conformance, keys_vanish_in_one_moment_with_the_lease_that_they_are_bound_to) {
  for (int tries = 1;; ++tries) {
    ASSERT_LE(tries, kTries) << "this machine is too busy to say";
    const TimePoint asked = Clock::now();
    const auto granted = store_->grant(Millis(2000), soon());
    ASSERT_TRUE(granted);
    const TimePoint from = Clock::now();
    const LeaseId lease = granted->id;
    EXPECT_GE(granted->ttl, Millis(2000));
    const auto bound =
        store_->commit({{}, {put("l/1", "x", lease), put("l/2", "y", lease), put("l/3", "z")}, {}}, soon());
    const auto read = store_->get(Query::one("l/1"), soon());
    if (Clock::now() - asked >= granted->ttl) continue;
    ASSERT_TRUE(bound) << bound.error().message;
    ASSERT_TRUE(read);
    EXPECT_EQ(read->entries.at(0).lease, lease);
    auto watching = watch("l/", bound->revision + 1);
    const std::vector<Event> seen = events(*watching, 2);
    const auto took = Clock::now() - from;
    ASSERT_EQ(seen.size(), 2u);
    EXPECT_EQ(seen[0].kind, Event::Kind::erased);
    EXPECT_EQ(seen[0].entry.key, "l/1");
    EXPECT_EQ(seen[1].entry.key, "l/2");
    EXPECT_EQ(seen[0].entry.modified, seen[1].entry.modified);
    // etcd and we do not look at our clocks at one moment.
    EXPECT_GE(took, granted->ttl - Millis(200)) << "not before its time";
    EXPECT_EQ(keys(Query::all_under("l/")), std::vector<std::string>{"l/3"});
    const auto late = store_->keep_alive({lease}, soon());
    ASSERT_TRUE(late);
    EXPECT_EQ(*late, std::vector<Millis>{Millis(0)}) << "gone is gone";
    EXPECT_EQ(store_->commit({{}, {put("l/1", "x", lease)}, {}}, soon()).trouble(), Trouble::no_lease);
    return;
  }
}

TEST_P(Conformance, a_lease_that_is_kept_alive_lives) {
  for (int tries = 1;; ++tries) {
    ASSERT_LE(tries, kTries) << "this machine is too busy to say";
    TimePoint last = Clock::now();  // the last keep-alive was sent after this
    const auto kept = store_->grant(Millis(2000), soon()), left = store_->grant(Millis(2000), soon());
    ASSERT_TRUE(kept);
    ASSERT_TRUE(left);
    store_->commit({{}, {put("kept", "", kept->id)}, {}}, soon()).operator bool();
    store_->commit({{}, {put("left", "", left->id)}, {}}, soon()).operator bool();
    const TimePoint until = in(kept->ttl + Millis(2500));
    bool gone = false;
    while (!gone && Clock::now() < until) {
      const TimePoint sent = Clock::now();
      const auto alive = store_->keep_alive({kept->id, 4711}, soon());
      ASSERT_TRUE(alive) << alive.error().message;
      ASSERT_EQ(alive->size(), 2u);
      EXPECT_EQ((*alive)[1], Millis(0)) << "there is none of this number";
      gone = (*alive)[0] == Millis(0);
      if (gone) break;
      EXPECT_GE((*alive)[0], Millis(2000));
      last = sent;
      std::this_thread::sleep_for(Millis(200));
    }
    const std::vector<std::string> there = keys(Query::all_under(""));
    const bool too_busy = Clock::now() - last >= kept->ttl;
    EXPECT_TRUE(store_->revoke(kept->id, soon()));
    if (too_busy) continue;
    EXPECT_FALSE(gone) << "though it was kept alive";
    EXPECT_EQ(there, std::vector<std::string>{"kept"});
    return;
  }
}

TEST_P(Conformance, a_lease_that_is_revoked_takes_its_keys_along) {
  const LeaseId lease = grant(Millis(60'000)), other = grant(Millis(60'000));
  EXPECT_NE(lease, other);
  put_one("a", "", lease);
  put_one("b", "", other);
  put_one("c", "", lease);
  put_one("c", "");  // no longer bound
  put_one("d", "", lease);
  put_one("d", "", other);  // bound to another
  EXPECT_TRUE(store_->revoke(lease, soon()));
  EXPECT_EQ(keys(Query::all_under("")), (std::vector<std::string>{"b", "c", "d"}));
  EXPECT_TRUE(store_->revoke(lease, soon())) << "there is none after it, too";
  EXPECT_TRUE(store_->revoke(other, soon()));
  EXPECT_EQ(keys(Query::all_under("")), (std::vector<std::string>{"c"}));
}

TEST_P(Conformance, five_hundred_leases_are_kept_alive_at_once) {
  std::vector<LeaseId> leases;
  for (int i = 0; i < 500; ++i) leases.push_back(grant(Millis(60'000)));
  const auto alive = store_->keep_alive(leases, soon());
  ASSERT_TRUE(alive) << alive.error().message;
  EXPECT_EQ(alive->size(), leases.size());
  EXPECT_TRUE(std::all_of(alive->begin(), alive->end(), [](Millis left) { return left >= Millis(60'000); }));
  for (const LeaseId lease : leases) EXPECT_TRUE(store_->revoke(lease, soon()));
}

// --- watches
// ----------------------------------------------------------------------------------------------------------

TEST_P(Conformance, a_watch_tells_all_that_was_and_all_that_comes) {
  const Revision first = put_one("w/a", "1");
  put_one("other", "");
  const Revision second = commit({{}, {put("w/b", "2"), erase("w/a")}, {}}).revision;
  auto watching = watch("w/", first);
  EXPECT_EQ(events(*watching, 3), (std::vector<Event>{{Event::Kind::put, {"w/a", "1", first, first, 0}},
                                                      {Event::Kind::put, {"w/b", "2", second, second, 0}},
                                                      {Event::Kind::erased, {"w/a", "", 0, second, 0}}}));
  const auto nothing = watching->next(in(Millis(50)));
  ASSERT_TRUE(nothing);
  EXPECT_TRUE(nothing->events.empty());
  EXPECT_TRUE(nothing->connected);
  const Revision third = put_one("w/b", "3");
  EXPECT_EQ(events(*watching, 1), (std::vector<Event>{{Event::Kind::put, {"w/b", "3", second, third, 0}}}));
  auto late = watch("w/", third + 2);
  put_one("w/skipped", "");
  const Revision fifth = put_one("w/c", "");
  EXPECT_EQ(events(*late, 1), (std::vector<Event>{{Event::Kind::put, {"w/c", "", fifth, fifth, 0}}}));
}

TEST_P(Conformance, a_watch_has_no_gaps_while_many_write) {
  constexpr int kThreads = 4, kPuts = 150;
  const Revision start = now();
  auto watching = watch("n/", start + 1);
  std::atomic<int> failed = 0;
  std::vector<std::thread> writers;
  for (int t = 0; t < kThreads; ++t) {
    writers.emplace_back([&, t] {
      const auto mine = GetParam()->open();
      for (int i = 0; i < kPuts; ++i) {
        const std::string key = "n/" + std::to_string(t);
        if (!mine->commit({{}, {put(key, std::to_string(i)), put("x/" + key, "")}, {}}, soon())) ++failed;
      }
    });
  }
  const std::vector<Event> seen = events(*watching, kThreads * kPuts, Millis(120'000));
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(failed, 0);
  ASSERT_EQ(seen.size(), static_cast<size_t>(kThreads * kPuts));
  std::vector<int> next(kThreads);
  for (size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i].entry.modified, start + 1 + static_cast<Revision>(i)) << "each revision, in order";
    const int thread = seen[i].entry.key.back() - '0';
    EXPECT_EQ(seen[i].entry.value, std::to_string(next[thread]++));
  }
}

TEST_P(Conformance, a_watch_that_is_stopped_says_so) {
  auto watching = watch("s/", now() + 1);
  std::thread stopper([&] {
    std::this_thread::sleep_for(Millis(100));
    watching->stop();
  });
  Answer<Batch> answer = Batch{};
  while (answer) answer = watching->next(in(Millis(60'000)));
  stopper.join();
  EXPECT_EQ(answer.trouble(), Trouble::stopped);
  EXPECT_EQ(watching->next(soon()).trouble(), Trouble::stopped) << "and stays so";
}

TEST_P(Conformance, history_that_is_compacted_cannot_be_gone_back_to) {
  const Revision first = put_one("c/a", "1");
  put_one("c/b", "1");
  const Page page = get(Query::all_under("c/", 1));
  put_one("c/a", "2");
  commit({{}, {erase("c/b")}, {}});
  const Revision last = put_one("c/c", "1");
  ASSERT_TRUE(store_->compact(last, soon()));
  EXPECT_TRUE(store_->compact(first, soon())) << "that is forgotten already";
  EXPECT_EQ(store_->compact(last + 1000, soon()).trouble(), Trouble::invalid);
  EXPECT_EQ(keys(Query::all_under("c/")), (std::vector<std::string>{"c/a", "c/c"})) << "what is stays";
  EXPECT_EQ(get(Query::one("c/a")).entries.at(0).value, "2");
  const auto old_page = store_->get({"c/", true, 1, page.next}, soon());
  ASSERT_FALSE(old_page);
  EXPECT_EQ(old_page.trouble(), Trouble::compacted) << old_page.error().message;
  auto watching = watch("c/", first);
  Answer<Batch> answer = Batch{};
  const TimePoint deadline = soon();
  while (answer && Clock::now() < deadline) answer = watching->next(deadline);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.trouble(), Trouble::compacted) << answer.error().message;
  EXPECT_EQ(watching->next(soon()).trouble(), Trouble::compacted) << "and stays so";
  auto afresh = watch("c/", last + 1);
  const Revision next = put_one("c/d", "");
  EXPECT_EQ(events(*afresh, 1), (std::vector<Event>{{Event::Kind::put, {"c/d", "", next, next, 0}}}));
}

// --- races
// ------------------------------------------------------------------------------------------------------------

TEST_P(Conformance, of_many_threads_that_claim_one_key_one_gets_it) {
  constexpr int kThreads = 8, kRounds = 10;
  for (int round = 0; round < kRounds; ++round) {
    std::atomic<int> winners = 0, failed = 0;
    const std::string key = "claim/" + std::to_string(round);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        const auto done = store_->commit({{absent(key)}, {put(key, std::to_string(t))}, {Query::one(key)}}, soon());
        if (!done) {
          ++failed;
        } else if (done->done) {
          ++winners;
        } else if (done->found.size() != 1 || done->found[0].entries.size() != 1) {
          ++failed;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(winners, 1);
    EXPECT_EQ(failed, 0);
  }
}

TEST_P(Conformance, processes_that_count_by_compare_and_swap_lose_nothing) {
  const std::string url = GetParam()->url();
  if (url.empty()) GTEST_SKIP() << "no process can come to it";
  constexpr int kProcesses = 3, kCounts = 40;
  std::vector<Process> processes;
  for (int i = 0; i < kProcesses; ++i) {
    auto process =
        spawn({.argv = {NM_STORE_TOOL, "count", url, "counter", std::to_string(kCounts)}, .die_with_parent = true});
    ASSERT_TRUE(process) << process.error().message;
    processes.push_back(std::move(*process));
  }
  for (Process& process : processes) EXPECT_TRUE(process.wait().clean());
  EXPECT_EQ(get(Query::one("counter")).entries.at(0).value, std::to_string(kProcesses * kCounts));
}

INSTANTIATE_TEST_SUITE_P(, Conformance, testing::ValuesIn(test_places()),
                         [](const testing::TestParamInfo<Place*>& info) { return info.param->name(); });

}  // namespace
}  // namespace nm::store
