// The store and the locks: several processes, a full disk, and files that are not what they should be.
#include "attach/store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "attach/lock.h"
#include "attach/world.h"

namespace nm::attach {
namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

Attachment example(const char* gpu) {
  Attachment attachment{.gpu = *inventory::parse_pci_address(gpu)};
  attachment.functions = {attachment.gpu};
  attachment.backend = "fake", attachment.guest = "a \"guest\"", attachment.guest_id = "/run/x";
  attachment.before = {{.address = attachment.gpu, .driver = "nvidia", .override = "", .virtual_functions = 4}};
  attachment.guest_steps = Json::array({{{"kind", "x"}}});
  attachment.boot = "b", attachment.since = 1'800'000'000;
  return attachment;
}

TEST(Store, KeepsWhatItIsGiven) {
  const inventory::Scratch scratch;
  const Attachment attachment = example("0000:65:00.0");
  {
    auto store = Store::open(scratch.path() + "/a/b");
    ASSERT_TRUE(store) << store.error().message;
    ASSERT_TRUE(store->put(attachment));
    Operation operation{.verb = Verb::move, .gpu = attachment.gpu};
    operation.locks = {"group-1"};
    operation.functions = attachment.before;
    operation.before = attachment;
    operation.steps = Json::array({1, 2, 3});
    operation.stuck = {{.pid = 7, .started = 8, .path = "/p"}};
    ASSERT_TRUE(store->begin(operation));
    ASSERT_TRUE(store->set_phase(operation, 1, Phase::doing));
    ASSERT_TRUE(store->quarantine(attachment.gpu, "It is lost."));
  }
  auto store = Store::open_to_read(scratch.path() + "/a/b");
  ASSERT_TRUE(store);
  const auto back = store->attachment(attachment.gpu);
  ASSERT_TRUE(back && *back);
  EXPECT_EQ(to_json(**back), to_json(attachment));
  const auto operations = store->operations();
  ASSERT_TRUE(operations && operations->size() == 1);
  const Operation& operation = (*operations)[0];
  EXPECT_EQ(operation.verb, Verb::move);
  EXPECT_EQ(operation.functions, attachment.before);
  EXPECT_EQ(to_json(*operation.before), to_json(attachment));
  EXPECT_FALSE(operation.after);
  EXPECT_EQ(operation.phases, (std::vector<Phase>{Phase::waiting, Phase::doing, Phase::waiting}));
  EXPECT_EQ(operation.stuck.at(0).started, 8u);
  EXPECT_EQ(store->quarantined()->at(0).reason, "It is lost.");
  EXPECT_FALSE(store->erase(attachment.gpu));  // opened to read
}

TEST(Store, OneGpuHasOneOperation) {
  const inventory::Scratch scratch;
  auto store = Store::open(scratch.path());
  ASSERT_TRUE(store);
  Operation first{.gpu = *inventory::parse_pci_address("1:0.0")}, second = first;
  ASSERT_TRUE(store->begin(first));
  const auto again = store->begin(second);
  ASSERT_FALSE(again);
  EXPECT_TRUE(has(again.error().message, "`nearmetal recover` ends it")) << again.error().message;
  ASSERT_TRUE(store->conclude(first, std::nullopt));
  EXPECT_TRUE(store->begin(second));
}

TEST(Store, WhatIsNotThereIsEmptyToWhoeverOnlyLooks) {
  const inventory::Scratch scratch;
  auto store = Store::open_to_read(scratch.path() + "/none");
  ASSERT_TRUE(store);
  EXPECT_TRUE(store->attachments()->empty());
  EXPECT_FALSE(std::filesystem::exists(scratch.path() + "/none"));
}

TEST(Store, AFileThatIsDamagedOrNewerIsASentence) {
  const inventory::Scratch scratch;
  const std::string path = scratch.path() + "/state.db";
  std::ofstream(path) << std::string(8192, 'x');
  EXPECT_TRUE(has(Store::open(scratch.path()).error().message, "file is not a database. It is damaged"));
  EXPECT_TRUE(has(Store::open_to_read(scratch.path()).error().message, "It is damaged"));
  std::filesystem::remove(path);
  auto store = Store::open(scratch.path());
  ASSERT_TRUE(store && store->put(example("1:0.0")));
  std::string text;
  {
    std::ifstream file(path, std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(file), {});
  }
  for (size_t at; (at = text.find("0000:01:00.0")) != std::string::npos;) text.replace(at, 4, "zzzz");
  std::ofstream(path, std::ios::binary) << text;
  const auto attachments = Store::open_to_read(scratch.path())->attachments();
  ASSERT_FALSE(attachments);
  EXPECT_TRUE(has(attachments.error().message, "that cannot be read: ")) << attachments.error().message;
  text[63] = 99;  // user_version, of four bytes from 60
  std::ofstream(path, std::ios::binary) << text;
  EXPECT_TRUE(has(Store::open(scratch.path()).error().message, "a later release of nearmetal"));
}

TEST(Store, ADirectoryThatCannotBeMadeIsASentence) {
  const inventory::Scratch scratch;
  std::ofstream(scratch.path() + "/file") << "x";
  EXPECT_TRUE(
      has(Store::open(scratch.path() + "/file/state").error().message, "Not a directory. Run this as root, or name"));
}

// From a moment on no file grows: as on a full disk, whenever it comes. The host is then as before, or as after, and
// what could not be written down is recovered when there is room again.
TEST(FullDisk, LeavesTheStateBeforeOrTheStateAfter) {
  const Request request{.gpu = "0000:41:00.6", .guest = "train1"};
  std::string before, after;
  {
    World world("a100-vfs");
    before = world.hands->all();
    ASSERT_TRUE(world.hands->manager.attach(request));
    after = world.hands->all();
  }
  bool reached = true;
  for (size_t point = 0; reached; ++point) {
    World world("a100-vfs");
    ASSERT_TRUE(Store::open(world.hands->state));
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::signal(SIGXFSZ, SIG_IGN);
      Hands hands(world.root());
      size_t now = 0;
      // Enough for the kernel's small files, and less than one page of a database.
      const auto fill = [] {
        const rlimit limit{2000, 2000};
        ::setrlimit(RLIMIT_FSIZE, &limit);
      };
      if (point == 0) fill();
      hands.at_moment = [&](const Moment&) {
        if (++now == point) fill();
      };
      const auto report = hands.manager.attach(request);
      if (!report && point == 0 && !has(report.error().message, "Make room on its file system, then try again."))
        _exit(9);
      _exit(now < point ? 2 : report ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFEXITED(status)) << status;
    ASSERT_NE(WEXITSTATUS(status), 9);
    reached = WEXITSTATUS(status) != 2;
    if (point == 0) {
      EXPECT_EQ(WEXITSTATUS(status), 1);
      EXPECT_EQ(world.hands->all(), before);
    }
    const auto recovered = world.hands->manager.recover();
    ASSERT_TRUE(recovered) << recovered.error().message;
    const std::string now = world.hands->all();
    EXPECT_TRUE(now == before || now == after) << "full at " << point << ":\n" << now;
  }
}

TEST(TwoCommands, AtOnceGiveAGpuToOneGuest) {
  for (int round = 0; round < 3; ++round) {
    World world("a100-vfs");
    std::vector<pid_t> children;
    for (const char* guest : {"train1", "train2"}) {
      children.push_back(::fork());
      if (children.back() != 0) continue;
      Hands hands(world.root(), Millis(60'000));
      _exit(hands.manager.attach({.gpu = "0000:41:00.6", .guest = guest}) ? 0 : 1);
    }
    int failed = 0;
    for (const pid_t child : children) {
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      ASSERT_TRUE(WIFEXITED(status));
      failed += WEXITSTATUS(status);
    }
    EXPECT_EQ(failed, 1);
    const std::string all = world.hands->all();
    EXPECT_NE(has(all, "train1 has 0000:41:00.6"), has(all, "train2 has 0000:41:00.6")) << all;
  }
}

TEST(TwoCommands, OnDifferentGpusAndTheSameGuestBothSucceed) {
  World world("a100-vfs");
  std::vector<pid_t> children;
  for (const char* gpu : {"0000:41:00.6", "0000:41:00.7"}) {
    children.push_back(::fork());
    if (children.back() != 0) continue;
    Hands hands(world.root(), Millis(60'000));
    _exit(hands.manager.attach({.gpu = gpu, .guest = "train1"}) ? 0 : 1);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
}

TEST(Locks, AreTakenInOrderAndNameWhoHasThem) {
  const inventory::Scratch scratch;
  auto held = Locks::take(scratch.path(), {"b", "a", "b"}, "attach of x", Millis(0));
  ASSERT_TRUE(held) << held.error().message;
  const auto other = Locks::take(scratch.path(), {"c", "b"}, "detach of y", Millis(0));
  ASSERT_FALSE(other);
  EXPECT_TRUE(has(other.error().message, "attach of x) is at work on the same GPU or guest (b)."))
      << other.error().message;
  std::string said;
  std::thread later([&] {
    const auto waited = Locks::take(scratch.path(), {"b", "c"}, "detach of y", Millis(60'000),
                                    [&](const std::string& sentence) { said = sentence; });
    EXPECT_TRUE(waited);
  });
  while (!Locks::take(scratch.path(), {"zz"}, "x", Millis(0))) {
  }
  ::usleep(200'000);
  held = Error{"given back"};
  later.join();
  EXPECT_TRUE(said.empty() || has(said, "Waiting for nearmetal")) << said;
}

TEST(Locks, OfAProcessThatDiesAreFree) {
  const inventory::Scratch scratch;
  const pid_t pid = ::fork();
  if (pid == 0) {
    const auto held = Locks::take(scratch.path(), {"a"}, "x", Millis(0));
    ::raise(SIGKILL);
  }
  ::waitpid(pid, nullptr, 0);
  EXPECT_TRUE(Locks::take(scratch.path(), {"a"}, "y", Millis(0)));
}

}  // namespace
}  // namespace nm::attach
