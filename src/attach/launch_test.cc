// What the journal knows of guests that were started with their GPUs, without any QEMU.
#include "attach/launch.h"

#include <gtest/gtest.h>

#include "attach/world.h"

namespace nm::attach {
namespace {

const PciAddress kGpu{.bus = 0x65};
const PciAddress kAudio{.bus = 0x65, .function = 1};

Handover handover(const inventory::Gpu& gpu) {
  return {.gpu = gpu, .functions = {{.address = kGpu}, {.address = kAudio}}};
}

TEST(Launch, OnlyTheProcessThatStartsAGuestSeesIt) {
  LaunchBackend mine([](const std::string&) { return true; }), others([](const std::string&) { return true; });
  mine.expect({.name = "train1", .id = "/run/train1.qmp"}, {{kGpu, "gpu0-f0"}, {kAudio, "gpu0-f1"}});
  ASSERT_EQ(mine.guests()->size(), 1u);
  EXPECT_EQ(mine.guests()->at(0).backend, "vm");
  EXPECT_TRUE(others.guests()->empty());
}

TEST(Launch, AGuestHasItsGpuForAsLongAsItRuns) {
  bool running = true;
  LaunchBackend backend([&](const std::string& socket) { return running && socket == "/s"; });
  EXPECT_TRUE(*backend.has("/s", {kGpu}));
  EXPECT_FALSE(*backend.has("/other", {kGpu}));
  backend.ended();
  EXPECT_FALSE(*backend.has("/s", {kGpu})) << "though the lock is still held";
}

TEST(Launch, AStepComesBackFromItsRecord) {
  LaunchBackend backend([](const std::string&) { return false; });
  backend.expect({.name = "train1", .id = "/s"}, {{kGpu, "gpu0-f0"}, {kAudio, "gpu0-f1"}});
  const inventory::Gpu gpu;
  const auto plan = backend.plan(handover(gpu), backend.guests()->at(0));
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_EQ(plan->steps.size(), 1u);
  const Json record = plan->steps[0]->record();
  const auto again = backend.step(plan->steps[0]->kind(), record);
  ASSERT_TRUE(again && *again);
  EXPECT_EQ((*again)->record(), record);
  EXPECT_EQ((*again)->title(), "Start VM train1 with 0000:65:00.0, 0000:65:00.1");
  EXPECT_FALSE(*backend.step("bind", record));
  for (const char* key : {"socket", "guest", "devices"}) {
    Json broken = record;
    broken.erase(key);
    EXPECT_FALSE(backend.step(plan->steps[0]->kind(), broken)) << key;
    broken[key] = 3;
    EXPECT_FALSE(backend.step(plan->steps[0]->kind(), broken)) << key;
  }
  EXPECT_FALSE(backend.step(plan->steps[0]->kind(), "text"));
}

TEST(Launch, AGpuThatTheGuestWasNotMadeForIsRefused) {
  LaunchBackend backend([](const std::string&) { return false; });
  backend.expect({.name = "train1", .id = "/s"}, {{kGpu, "gpu0-f0"}});
  const inventory::Gpu gpu;
  const auto plan = backend.plan(handover(gpu), backend.guests()->at(0));
  ASSERT_FALSE(plan);
  EXPECT_NE(plan.error().message.find("was not made for 0000:65:00.1"), std::string::npos);
}

// All of it, with a kernel: taken from its driver, in the guest, and back when the guest has ended.
TEST(Launch, AGpuIsTheGuestsAndThenTheHostsAgain) {
  inventory::Scratch scratch;
  inventory::FakeHost tree(scratch.path());
  ASSERT_TRUE(inventory::make_fake_host("laptop", tree));
  std::filesystem::remove(tree.root() / "sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/power/runtime_status");
  tree.file(tree.directory_of("0000:01:00.0") + "config", "\xde\x10\x04\x22");
  tree.file("/proc/sys/kernel/random/boot_id", "one\n");
  FakeKernel kernel(scratch.path());
  const std::string before = kernel.state();
  bool running = true;
  LaunchBackend backend([&](const std::string&) { return running; });
  const PciAddress gpu{.bus = 1}, audio{.bus = 1, .function = 1};
  backend.expect({.name = "train1", .id = scratch.path() + "/train1.qmp"}, {{gpu, "gpu0-f0"}, {audio, "gpu0-f1"}});
  Manager manager({.system = kernel}, scratch.path() + "/state", {&backend});
  const auto attached = manager.attach({.gpu = "1:00.0", .guest = "train1", .wish = {.companions = true}});
  ASSERT_TRUE(attached) << attached.error().message;
  EXPECT_EQ(attached->now->functions.size(), 2u);
  EXPECT_NE(kernel.state(), before);
  const auto early = manager.release({.gpu = "01:00.0"});
  ASSERT_FALSE(early);
  EXPECT_NE(early.error().message.find("in use by VM train1"), std::string::npos);
  backend.ended();
  const auto released = manager.release({.gpu = "01:00.0"});
  ASSERT_TRUE(released) << released.error().message;
  EXPECT_EQ(kernel.state(), before);
}

}  // namespace
}  // namespace nm::attach
