// What is the file's own: time, crashes, full disks, files that are not where or what they should be.
#include "store/sqlite_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <thread>

#include "base/number.h"
#include "base/process.h"
#include "store/conformance.h"
#include "store/scratch.h"

namespace nm::store {
namespace {

class TestClock final : public BootClock {
 public:
  explicit TestClock(std::string boot = "first") : boot_(std::move(boot)) {}
  Millis now() const override { return Millis(now_.load()); }
  std::string boot() const override { return boot_; }
  void set(int64_t now) { now_ = now; }
  void go_on(Millis time) { now_ += time.count(); }

 private:
  std::string boot_;
  std::atomic<int64_t> now_ = 1'000'000;
};

class SqliteTest : public testing::Test {
 protected:
  Scratch scratch_;
  const std::string path_ = scratch_ / "pool.db";
  const std::string url_ = "sqlite:" + path_;

  static std::vector<std::string> keys(Store& store, const std::string& prefix) {
    std::vector<std::string> out;
    Query query = Query::all_under(prefix);
    do {
      auto page = store.get(query, soon());
      EXPECT_TRUE(page) << page.error().message;
      if (!page) break;
      for (const Entry& entry : page->entries) out.push_back(entry.key);
      query.after = page->next;
    } while (!query.after.empty());
    return out;
  }
  static void put_one(Store& store, const std::string& key, LeaseId lease = 0) {
    const auto done = store.commit({{}, {put(key, "v", lease)}, {}}, soon());
    ASSERT_TRUE(done) << done.error().message;
  }
};

// --- time
// -------------------------------------------------------------------------------------------------------------

TEST_F(SqliteTest, a_reader_does_not_see_what_is_bound_to_a_lease_that_is_over) {
  TestClock clock;
  SqliteStore store(path_, clock);
  const auto lease = store.grant(Millis(5000), soon());
  ASSERT_TRUE(lease);
  put_one(store, "a", lease->id);
  const Revision before = store.get(Query::one("a"), soon())->revision;
  clock.go_on(Millis(4999));
  EXPECT_EQ(keys(store, ""), std::vector<std::string>{"a"});
  clock.go_on(Millis(1));
  EXPECT_TRUE(keys(store, "").empty());
  EXPECT_EQ(store.get(Query::one("a"), soon())->revision, before) << "it only reads";
  // The next who writes ends the lease first, in a revision of its own.
  const auto claimed = store.commit({{absent("a")}, {put("a", "mine")}, {}}, soon());
  ASSERT_TRUE(claimed);
  EXPECT_TRUE(claimed->done);
  EXPECT_EQ(claimed->revision, before + 2);
}

TEST_F(SqliteTest, a_keep_alive_that_comes_too_late_is_too_late) {
  TestClock clock;
  SqliteStore store(path_, clock);
  const auto lease = store.grant(Millis(5000), soon());
  ASSERT_TRUE(lease);
  clock.go_on(Millis(4000));
  EXPECT_EQ(store.keep_alive({lease->id}, soon())->at(0), Millis(5000));
  clock.go_on(Millis(4000));
  EXPECT_EQ(store.keep_alive({lease->id}, soon())->at(0), Millis(5000));
  clock.go_on(Millis(5000));
  EXPECT_EQ(store.keep_alive({lease->id}, soon())->at(0), Millis(0)) << "though nobody has ended it";
}

TEST_F(SqliteTest, leases_of_an_earlier_boot_are_over) {
  TestClock first("first"), second("second");
  LeaseId lease = 0;
  {
    SqliteStore store(path_, first);
    lease = store.grant(Millis(60'000), soon())->id;
    put_one(store, "held", lease);
    put_one(store, "free");
  }
  second.set(5);  // the clock began anew
  SqliteStore store(path_, second);
  EXPECT_EQ(keys(store, ""), std::vector<std::string>{"free"});
  EXPECT_EQ(store.keep_alive({lease}, soon())->at(0), Millis(0));
  const auto next = store.grant(Millis(60'000), soon());
  ASSERT_TRUE(next);
  EXPECT_NE(next->id, lease) << "numbers are not given twice";
}

TEST_F(SqliteTest, a_watch_sees_the_end_of_a_lease_and_the_changes_of_another_handle) {
  TestClock clock;
  SqliteStore store(path_, clock), other(path_, clock);
  const auto lease = other.grant(Millis(5000), soon());
  ASSERT_TRUE(lease);
  put_one(other, "a", lease->id);
  auto watch = store.watch("", 1);
  ASSERT_TRUE(watch);
  EXPECT_EQ((*watch)->next(soon())->events.at(0).entry.key, "a");
  put_one(other, "b");
  EXPECT_EQ((*watch)->next(soon())->events.at(0).entry.key, "b");
  clock.go_on(Millis(5000));
  const auto end = (*watch)->next(soon());
  ASSERT_TRUE(end);
  EXPECT_EQ(end->events.at(0).kind, Event::Kind::erased);
  EXPECT_EQ(end->events.at(0).entry.key, "a");
}

// --- history
// ----------------------------------------------------------------------------------------------------------

TEST_F(SqliteTest, history_is_forgotten_by_itself_and_what_is_stays) {
  SqliteStore store(path_);
  const std::string value(20, 'v');
  Transaction beat{{}, {}, {}};
  for (int i = 0; i < 20; ++i) beat.then.push_back(put("beat/" + std::to_string(i), value));
  const Revision writes = SqliteStore::kHistory + 1000;
  // Revisions are what is counted, so most of them are made cheaply: the file is told that they were.
  put_one(store, "first");
  {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(db, ("UPDATE meta SET revision = " + std::to_string(writes - 10)).c_str(), nullptr, nullptr,
                           nullptr),
              SQLITE_OK);
    sqlite3_close(db);
  }
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(store.commit(beat, soon()));
  auto watch = store.watch("", 2);
  ASSERT_TRUE(watch);
  const auto old = (*watch)->next(soon());
  ASSERT_FALSE(old);
  EXPECT_EQ(old.trouble(), Trouble::compacted) << old.error().message;
  EXPECT_EQ(keys(store, "").size(), 21u) << "what is stays, however old";
}

// --- crashes
// ----------------------------------------------------------------------------------------------------------

TEST_F(SqliteTest, what_was_acknowledged_outlives_kill_9) {
  for (int round = 0; round < 3; ++round) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const std::string prefix = "r" + std::to_string(round) + "/";
    auto process =
        spawn({.argv = {NM_STORE_TOOL, "stamp", url_, prefix}, .fds = {{ends[1], 1}}, .die_with_parent = true});
    ASSERT_TRUE(process) << process.error().message;
    close(ends[1]);
    FILE* lines = fdopen(ends[0], "r");
    long last = -1;
    for (int i = 0; i < 40; ++i) ASSERT_EQ(fscanf(lines, "%ld", &last), 1);
    process->signal(SIGKILL);
    for (long more; fscanf(lines, "%ld", &more) == 1;) last = more;
    fclose(lines);
    EXPECT_TRUE(process->wait().signaled);
    SqliteStore store(path_);
    const auto there = static_cast<long>(keys(store, prefix).size());
    EXPECT_GE(there, last + 1) << "acknowledged and lost";
    EXPECT_LE(there, last + 2) << "at most the one that was under way is more";
    put_one(store, "after");
  }
}

// --- full disks
// -------------------------------------------------------------------------------------------------------

// Runs `nm_store_tool fill`: how many puts were acknowledged, and why there were no more.
struct Filled {
  long acknowledged = -1;
  std::string kind, sentence;
};
Filled fill(const std::string& url, size_t bytes) {
  Filled filled;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return filled;
  auto process = spawn(
      {.argv = {NM_STORE_TOOL, "fill", url, std::to_string(bytes)}, .fds = {{ends[1], 1}}, .die_with_parent = true});
  close(ends[1]);
  if (!process) return filled;
  FILE* lines = fdopen(ends[0], "r");
  char kind[64] = "", sentence[1024] = "";
  if (fscanf(lines, "%ld %63s %1023[^\n]", &filled.acknowledged, kind, sentence) == 3)
    filled.kind = kind, filled.sentence = sentence;
  fclose(lines);
  process->wait();
  return filled;
}

TEST_F(SqliteTest, without_space_a_change_is_refused_and_nothing_is_lost) {
  const Filled filled = fill(url_, 2 << 20);
  EXPECT_EQ(filled.kind, "full") << filled.sentence;
  EXPECT_NE(filled.sentence.find("No space"), std::string::npos) << filled.sentence;
  ASSERT_GT(filled.acknowledged, 10);
  SqliteStore store(path_);
  EXPECT_EQ(keys(store, "fill/").size(), static_cast<size_t>(filled.acknowledged) + 1);
  put_one(store, "there is space again");
}

TEST_F(SqliteTest, a_full_disk_loses_nothing_and_can_be_read) {
  // A small disk of our own, in a mount namespace that goes with the process.
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const std::string disk = scratch_ / "disk";
    if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mkdir(disk.c_str(), 0700) != 0 || mount("none", disk.c_str(), "tmpfs", 0, "size=1m") != 0) {
      _exit(77);
    }
    const std::string url = "sqlite:" + disk + "/pool.db";
    const Filled filled = fill(url, 0);
    if (filled.kind != "full" || filled.acknowledged < 10) {
      fprintf(stderr, "%ld %s %s\n", filled.acknowledged, filled.kind.c_str(), filled.sentence.c_str());
      _exit(1);
    }
    SqliteStore store(disk + "/pool.db");
    const auto page = store.get(Query::all_under("fill/", 1), soon());
    if (!page) {
      fprintf(stderr, "%s\n", page.error().message.c_str());
      _exit(2);
    }
    if (keys(store, "fill/").size() != static_cast<size_t>(filled.acknowledged) + 1) _exit(3);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no mount is allowed here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// --- files
// ------------------------------------------------------------------------------------------------------------

TEST_F(SqliteTest, a_store_that_is_not_there_at_start_is_found_when_it_comes) {
  const std::string directory = scratch_ / "later";
  SqliteStore store(directory + "/pool.db");
  auto watch = store.watch("", 1);
  ASSERT_TRUE(watch);
  const auto away = store.get(Query::one("a"), soon());
  ASSERT_FALSE(away);
  EXPECT_EQ(away.trouble(), Trouble::unreachable);
  EXPECT_NE(away.error().message.find("Make its directory"), std::string::npos) << away.error().message;
  const auto waiting = (*watch)->next(in(Millis(50)));
  ASSERT_TRUE(waiting);
  EXPECT_FALSE(waiting->connected);
  ASSERT_EQ(mkdir(directory.c_str(), 0700), 0);
  put_one(store, "a");
  EXPECT_EQ((*watch)->next(soon())->events.at(0).entry.key, "a");
}

TEST_F(SqliteTest, a_file_that_is_moved_away_is_missed_and_found_again) {
  SqliteStore store(path_);
  put_one(store, "a");
  ASSERT_EQ(rename(path_.c_str(), (path_ + ".away").c_str()), 0);
  const auto away = store.commit({{}, {put("b", "")}, {}}, soon());
  ASSERT_FALSE(away);
  EXPECT_EQ(away.trouble(), Trouble::unreachable);
  EXPECT_NE(away.error().message.find("moved or deleted"), std::string::npos) << away.error().message;
  ASSERT_EQ(rename((path_ + ".away").c_str(), path_.c_str()), 0);
  put_one(store, "c");
  EXPECT_EQ(keys(store, ""), (std::vector<std::string>{"a", "c"}));
}

TEST_F(SqliteTest, another_store_in_its_place_is_not_taken_for_it) {
  SqliteStore store(path_);
  put_one(store, "a");
  for (const char* end : {"", "-wal", "-shm"}) std::remove((path_ + end).c_str());
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(store.get(Query::one("a"), soon()).trouble(), Trouble::unreachable) << "it is missed";
  struct stat about {};
  EXPECT_NE(stat(path_.c_str(), &about), 0) << "and no empty one is made";
  SqliteStore new_one(path_);
  put_one(new_one, "a");
  const auto other = store.get(Query::one("a"), soon());
  ASSERT_FALSE(other);
  EXPECT_EQ(other.trouble(), Trouble::broken) << other.error().message;
}

TEST_F(SqliteTest, a_file_of_somebody_else_is_left_alone) {
  const std::string text = "This is not a database, but a letter to my grandmother.\n";
  std::ofstream(path_) << text << std::string(4096, ' ');
  SqliteStore letter(path_);
  const auto answer = letter.get(Query::one("a"), soon());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.trouble(), Trouble::broken) << answer.error().message;
  std::string line;
  std::getline(std::ifstream(path_) >> std::ws, line);
  EXPECT_EQ(line + "\n", text);

  const std::string foreign = scratch_ / "foreign.db";
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(foreign.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "CREATE TABLE recipes(name)", nullptr, nullptr, nullptr), SQLITE_OK);
  SqliteStore recipes(foreign);
  const auto refused = recipes.get(Query::one("a"), soon());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.trouble(), Trouble::broken);
  EXPECT_NE(refused.error().message.find("another program"), std::string::npos) << refused.error().message;
  EXPECT_EQ(sqlite3_exec(db, "SELECT * FROM meta", nullptr, nullptr, nullptr), SQLITE_ERROR)
      << "no table of ours in it";
  sqlite3_close(db);
}

TEST_F(SqliteTest, the_file_is_for_its_user_alone) {
  SqliteStore store(path_);
  put_one(store, "a");
  for (const char* end : {"", "-wal", "-shm"}) {
    struct stat about {};
    ASSERT_EQ(stat((path_ + end).c_str(), &about), 0) << end;
    EXPECT_EQ(about.st_mode & 0777, 0600u) << end;
  }
}

TEST_F(SqliteTest, a_file_that_another_process_holds_is_waited_for_and_not_for_ever) {
  SqliteStore store(path_);
  put_one(store, "a");
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  const auto busy = store.commit({{}, {put("b", "")}, {}}, in(Millis(200)));
  ASSERT_FALSE(busy);
  EXPECT_EQ(busy.trouble(), Trouble::unreachable);
  EXPECT_NE(busy.error().message.find("held by another process"), std::string::npos) << busy.error().message;
  EXPECT_TRUE(store.get(Query::one("a"), soon())) << "readers need not wait";
  std::thread holder([db] {
    std::this_thread::sleep_for(Millis(200));
    sqlite3_exec(db, "COMMIT", nullptr, nullptr, nullptr);
  });
  put_one(store, "b");
  holder.join();
  sqlite3_close(db);
}

}  // namespace
}  // namespace nm::store
