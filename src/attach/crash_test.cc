// The process is killed at every moment of every verb: before and after each change to the host or to a guest, and at
// each point at which the Executor has written something down. Another process recovers; then everything is as it was
// before the verb, or as after it.
#include <gtest/gtest.h>

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ostream>

#include <set>

#include "attach/world.h"

namespace nm::attach {
namespace {

// Some ten thousand transactions, each of which waits for its disk: one made of memory, where there is one. That a
// killed process leaves what it wrote does not depend on it.
class FastDisk : public testing::Environment {
 public:
  void SetUp() override {
    if (::access("/dev/shm", W_OK | X_OK) == 0) ::setenv("TMPDIR", "/dev/shm", 0);
  }
};
[[maybe_unused]] const auto* const kFastDisk = testing::AddGlobalTestEnvironment(new FastDisk);

struct Scenario {
  std::string name, shape;
  std::vector<Request> first;  // what has happened before
  std::string verb;
  Request request;
  bool reboot = false;  // the power is cut, too
};
void PrintTo(const Scenario& scenario, std::ostream* out) { *out << scenario.name; }

Result<Report> act(Manager& manager, const std::string& verb, const Request& request) {
  return verb == "attach"   ? manager.attach(request)
         : verb == "detach" ? manager.detach(request)
                            : manager.release(request);
}

void prepare(const Scenario& scenario, World& world) {
  for (const auto& [pid, unit] : {std::pair{812, "gdm.service"}, {1300, "pipewire.service"}}) {
    if (world.hands->kernel.host().exists(fmt::format("/proc/{}", pid))) world.hands->kernel.unit(unit, pid);
  }
  for (const Request& request : scenario.first) {
    const auto done =
        request.guest.empty() ? world.hands->manager.detach(request) : world.hands->manager.attach(request);
    ASSERT_TRUE(done) << done.error().message;
  }
}

// False: the verb came to its end before it could be killed.
bool killed_at(const std::string& root, const Scenario& scenario, size_t point) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    size_t now = 0;
    Hands hands(root);
    const auto count = [&] {
      if (now++ == point) ::raise(SIGKILL);
    };
    hands.kernel.at_change = [&](const std::string&) { count(); };
    hands.at_moment = [&](const Moment&) { count(); };
    _exit(act(hands.manager, scenario.verb, scenario.request) ? 0 : 1);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
  return WIFSIGNALED(status);
}

class Crash : public testing::TestWithParam<Scenario> {};

TEST_P(Crash, LeavesTheStateBeforeOrTheStateAfter) {
  const Scenario& scenario = GetParam();
  std::string before, after;
  {
    World world(scenario.shape);
    prepare(scenario, world);
    before = world.hands->all();
    const auto report = act(world.hands->manager, scenario.verb, scenario.request);
    ASSERT_TRUE(report) << report.error().message;
    after = world.hands->all();
    ASSERT_NE(before, after);
  }
  size_t points = 0, befores = 0, afters = 0;
  for (bool killed = true; killed; ++points) {
    World world(scenario.shape);
    prepare(scenario, world);
    killed = killed_at(world.root(), scenario, points);
    Hands other(world.root());
    const auto recovered = other.manager.recover();
    ASSERT_TRUE(recovered) << recovered.error().message;
    for (const Recovery& recovery : *recovered) EXPECT_TRUE(recovery.good) << points << ": " << recovery.sentence;
    const std::string now = other.all();
    EXPECT_TRUE(now == before || now == after) << "killed at " << points << ":\n" << now;
    befores += now == before;
    afters += now == after;
    EXPECT_TRUE(other.manager.recover()->empty());
  }
  EXPECT_GT(points, 5u);
  // An interrupted attach is undone, other things are finished: but for its last moments.
  EXPECT_EQ(befores + afters, points);
  EXPECT_EQ(befores > 0, scenario.verb == "attach");
  EXPECT_GT(afters, 0u);
}

const Request kCard{.gpu = "0", .guest = "train1", .wish = kEverything};
const Request kVirtual{.gpu = "0000:41:00.6", .guest = "train1"};
const Request kVirtualOnly{.gpu = "0000:41:00.6"};

INSTANTIATE_TEST_SUITE_P(
    Verbs, Crash,
    testing::Values(
        Scenario{"attach", "desktop", {}, "attach", kCard},
        Scenario{"detach", "desktop", {kCard}, "detach", {.gpu = "0"}},
        Scenario{"release", "desktop", {kCard, {.gpu = "0"}}, "release", {.gpu = "0"}},
        Scenario{"attach_again", "a100-vfs", {kVirtual, kVirtualOnly}, "attach", kVirtual},
        Scenario{"move", "a100-vfs", {kVirtual}, "attach", {.gpu = "0000:41:00.6", .guest = "train2", .move = true}}),
    [](const auto& info) { return info.param.name; });

// The host goes down with the process: what is found then is what the kernel does at its start.
TEST(PowerCut, LeavesNothingOfAnAttach) {
  const Scenario scenario{"attach", "a100-vfs", {}, "attach", kVirtual};
  std::string before;
  {
    World world(scenario.shape);
    before = world.hands->all();
  }
  for (size_t point = 0;; ++point) {
    World world(scenario.shape);
    const bool killed = killed_at(world.root(), scenario, point);
    Hands other(world.root());
    for (const char* guest : {"train1", "train2"}) {  // guests end too
      std::filesystem::remove_all(other.backend.directory(guest));
      std::filesystem::create_directories(other.backend.directory(guest));
    }
    other.kernel.reboot();
    const auto recovered = other.manager.recover();
    ASSERT_TRUE(recovered) << recovered.error().message;
    for (const Recovery& recovery : *recovered) EXPECT_TRUE(recovery.good) << point << ": " << recovery.sentence;
    const std::string now = other.all();
    // What was bound to VFIO by hand before is not any more: compare ours.
    EXPECT_NE(now.find("0000:41:00.6 nvidia (null) there\n"), std::string::npos) << now;
    EXPECT_EQ(now.find("kept"), std::string::npos) << now;
    EXPECT_EQ(now.find("journal"), std::string::npos) << now;
    if (!killed) break;
  }
}

// Killed in the verb, and again and again in the recovery.
TEST(Crash, ARecoveryThatIsKilledTooIsRecoveredByTheNext) {
  const Scenario scenario{"attach", "desktop", {}, "attach", kCard};
  std::string before;
  {
    World world(scenario.shape);
    prepare(scenario, world);
    before = world.hands->all();
  }
  World world(scenario.shape);
  prepare(scenario, world);
  ASSERT_TRUE(killed_at(world.root(), scenario, 45));
  bool killed = true;
  for (size_t round = 0; killed && round < 200; ++round) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      size_t now = 0;
      Hands hands(world.root());
      hands.kernel.at_change = [&](const std::string&) {
        if (now++ == 3) ::raise(SIGKILL);
      };
      (void)hands.manager.recover();
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    killed = WIFSIGNALED(status);
    EXPECT_TRUE(killed || round > 0);
  }
  EXPECT_FALSE(killed);
  Hands other(world.root());
  EXPECT_EQ(other.all(), before);
}

}  // namespace
}  // namespace nm::attach
