// The verbs, on machines of every shape, and how they fail.
#include "attach/manager.h"

#include <gtest/gtest.h>

#include "attach/world.h"

namespace nm::attach {
namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// The error of an attach, and that it has changed nothing.
std::string refusal(World& world, Request request) {
  const std::string before = world.hands->all();
  const auto report = world.hands->manager.attach(request);
  EXPECT_FALSE(report) << request.gpu;
  EXPECT_EQ(world.hands->all(), before);
  return report ? "" : report.error().message;
}

TEST(Attach, HandsOverACardWithItsCompanionsAndTakesItBack) {
  World world("desktop");
  Hands& hands = *world.hands;
  hands.kernel.unit("gdm.service", 812);
  hands.kernel.unit("pipewire.service", 1300);
  const std::string before = hands.all();
  auto report = hands.manager.attach({.gpu = "01:00.0", .guest = "train1", .wish = kEverything});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->sentence, "0000:01:00.0 is attached to VM train1 (pid 99).");
  const std::string after = hands.all();
  for (int function = 0; function < 4; ++function) {
    EXPECT_TRUE(has(after, fmt::format("0000:01:00.{} vfio-pci vfio-pci there\n", function))) << after;
    EXPECT_TRUE(has(after, fmt::format("train1 has 0000:01:00.{}\n", function))) << after;
  }
  EXPECT_TRUE(has(after, "vtcon1 0\n")) << after;
  EXPECT_FALSE(has(after, "process 812\n")) << after;
  EXPECT_TRUE(has(after, "kept 0000:01:00.0 in \"train1\"\n")) << after;

  report = hands.manager.detach({.gpu = "0"});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(has(hands.all(), "0000:01:00.0 vfio-pci vfio-pci there\n"));
  EXPECT_TRUE(has(hands.all(), "kept 0000:01:00.0 in \"\"\n"));
  report = hands.manager.release({.gpu = "0000:01:00.0"});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->sentence, "0000:01:00.0 is the host's again, with nouveau.");
  EXPECT_EQ(hands.all(), before);
}

TEST(Attach, OneCommandDetachesAndReleases) {
  World world("desktop");
  const std::string before = world.hands->all();
  world.hands->kernel.unit("gdm.service", 812);
  world.hands->kernel.unit("pipewire.service", 1300);
  ASSERT_TRUE(world.hands->manager.attach({.gpu = "0", .guest = "train1", .wish = kEverything}));
  const auto report = world.hands->manager.detach({.gpu = "0", .release = true});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(world.hands->all(), before);
}

TEST(Attach, MovesAGpuFromOneGuestToAnother) {
  World world("gh200");
  Hands& hands = *world.hands;
  ASSERT_TRUE(hands.manager.attach({.gpu = "0", .guest = "train1"}));
  const std::string taken = refusal(world, {.gpu = "0", .guest = "train2"});
  EXPECT_EQ(taken, "0009:01:00.0 is in use by VM train1. Add --move to take it from there, or detach it first.");
  EXPECT_TRUE(
      has(refusal(world, {.gpu = "0", .guest = "train2", .from = "train3"}), "not attached to train3, but to train1"));
  EXPECT_TRUE(
      has(refusal(world, {.gpu = "0", .guest = "train1", .move = true}), "attached to VM train1 (pid 99) already"));
  auto report = hands.manager.attach({.gpu = "0", .guest = "train2", .move = true});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(has(hands.all(), "train2 has 0009:01:00.0\n"));
  EXPECT_FALSE(has(hands.all(), "train1 has"));
  report = hands.manager.attach({.gpu = "0", .guest = "train1", .from = "train2"});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(has(hands.all(), "train1 has 0009:01:00.0\n"));
}

TEST(Attach, AMoveIntoAFullGuestLeavesTheGpuWhereItWas) {
  World world("gh200");
  ASSERT_TRUE(world.hands->manager.attach({.gpu = "0", .guest = "train1"}));
  world.machine.tree.file("/.fake/guests/train2/full", "");
  EXPECT_TRUE(
      has(refusal(world, {.gpu = "0", .guest = "train2", .move = true}), "VM train2 is full. All is as it was"));
}

TEST(Attach, DryRunChangesNothingAndPrintsTheCommands) {
  World world("desktop");
  world.hands->kernel.unit("gdm.service", 812);
  const std::string before = world.hands->all();
  const auto report =
      world.hands->manager.attach({.gpu = "0", .guest = "train1", .dry_run = true, .wish = kEverything});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(world.hands->all(), before);
  EXPECT_FALSE(std::filesystem::exists(world.hands->state));
  std::string script;
  for (const std::string& line : report->script) script += line + "\n";
  for (const char* line : {"modprobe vfio-pci\n", "systemctl stop gdm.service\n", "kill 1300  # pipewire\n",
                           "echo 0 > /sys/class/vtconsole/vtcon1/bind\n",
                           "# Bind 0000:01:00.1 to vfio-pci\n"
                           "echo vfio-pci > /sys/bus/pci/devices/0000:01:00.1/driver_override\n"
                           "echo 0000:01:00.1 > /sys/bus/pci/devices/0000:01:00.1/driver/unbind\n"
                           "echo 0000:01:00.1 > /sys/bus/pci/drivers_probe\n"}) {
    if (std::string(line) == "modprobe vfio-pci\n") continue;  // loaded on this machine
    EXPECT_TRUE(has(script, line)) << line << "is not in\n" << script;
  }
}

TEST(AttachRefuses, WithoutAnIommu) {
  World world("no-iommu");
  EXPECT_TRUE(has(refusal(world, {.gpu = "0", .guest = "train1", .wish = kEverything}),
                  "0000:01:00.0 cannot be handed to a guest: the IOMMU of this host is off. `nearmetal doctor`"));
}

TEST(AttachRefuses, ADirtyGroup) {
  World world("desktop-dirty");
  EXPECT_TRUE(has(refusal(world, {.gpu = "0", .guest = "train1", .wish = kEverything}),
                  "IOMMU group 1 also holds 0000:02:00.0 (NVMe, nvme), which is no part of its card"));
}

TEST(AttachRefuses, TheBootDisplay) {
  World world("desktop");
  EXPECT_TRUE(has(refusal(world, {.gpu = "0", .guest = "train1", .wish = {.companions = true, .stop_holders = true}}),
                  "0000:01:00.0 is the host's only display."));
}

TEST(AttachRefuses, TheFirmwaresFramebuffer) {
  World world("apu");
  EXPECT_TRUE(has(refusal(world, {.gpu = "0", .guest = "train1", .wish = kEverything}), "video=efifb:off"));
}

TEST(AttachRefuses, CompanionsThatWereNotMeant) {
  World world("desktop");
  const std::string said = refusal(world, {.gpu = "0", .guest = "train1", .wish = {.take_display = true}});
  EXPECT_TRUE(has(said, "0000:01:00.1 (audio, snd_hda_intel)")) << said;
  EXPECT_TRUE(has(said, "Add --with-companions.")) << said;
}

TEST(AttachRefuses, AGpuThatIsHeld) {
  World world("dgx");
  EXPECT_EQ(
      refusal(world, {.gpu = "2", .guest = "train1"}),
      "0000:52:00.0 is held by nvidia-persistenced (pid 900, persistence daemon), python3 (pid 4242). End that, or "
      "add --stop-holders.");
}

TEST(AttachRefuses, ADisplayServerUnlessToldTwice) {
  World world("desktop");
  world.machine.tree.file("/sys/bus/pci/devices/0000:01:00.0/boot_vga", "0\n");
  const std::string said =
      refusal(world, {.gpu = "0", .guest = "train1", .wish = {.companions = true, .stop_holders = true}});
  EXPECT_TRUE(has(said, "Xorg (pid 812, display). Ending that ends everybody's session on it; add --take-display"))
      << said;
}

TEST(AttachRefuses, TheParentOfVirtualFunctionsAndThoseThatAreTaken) {
  World world("a100-vfs");
  EXPECT_TRUE(has(refusal(world, {.gpu = "41:00.0", .guest = "train1"}),
                  "is in use as the parent of 4 virtual functions (0000:41:00.4, "));
  EXPECT_TRUE(has(refusal(world, {.gpu = "41:00.4", .guest = "train1"}), "is in use by VM train1 (pid 77)"));
  const auto report = world.hands->manager.attach({.gpu = "41:00.6", .guest = "train2"});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(has(world.hands->all(), "0000:41:00.6 vfio-pci vfio-pci"));
}

TEST(AttachRefuses, WithoutRightsButPlans) {
  World world("gh200");
  world.hands->kernel.root = false;
  EXPECT_TRUE(has(refusal(world, {.gpu = "0", .guest = "train1"}), "needs root: run the same with sudo"));
  EXPECT_TRUE(world.hands->manager.attach({.gpu = "0", .guest = "train1", .dry_run = true}));
}

TEST(AttachRefuses, WhatNamesNoGpu) {
  World world("dgx");
  for (const char* text : {"", "x", "65:00", "0000:52:00.0.0", "8", "99999999999", "GPU-", "GPU-0000000", "-1", " 1",
                           "0000:52:00.0\n", "../../etc", "GPU-ffffffff"}) {
    EXPECT_TRUE(has(refusal(world, {.gpu = text, .guest = "train1"}), "The GPUs of this host: 0000:1b:00.0, ")) << text;
  }
  EXPECT_TRUE(has(refusal(world, {.gpu = "0000:05:00.0", .guest = "train1"}), "0000:05:00.0 is no GPU."));
  EXPECT_TRUE(has(refusal(world, {.gpu = "0f:00.0", .guest = "train1"}), "There is no device 0000:0f:00.0."));
  // More of a UUID is one of them: refused for another reason.
  EXPECT_TRUE(has(refusal(world, {.gpu = "GPU-00000002", .guest = "train1"}), "0000:52:00.0 is held by"));
  EXPECT_TRUE(has(refusal(world, {.gpu = "00000002-1111", .guest = "train1"}), "0000:52:00.0 is held by"));
}

TEST(AttachRefuses, AGuestThatIsNotThere) {
  World world("gh200");
  EXPECT_TRUE(has(refusal(world, {.gpu = "0", .guest = "nobody"}),
                  "There is no virtual machine \"nobody\". Those found: train1, train2."));
}

TEST(AttachUndoes, ADriverThatComesBackAtOnce) {
  World world("desktop");
  world.hands->kernel.unit("gdm.service", 812);
  world.hands->kernel.unit("pipewire.service", 1300);
  world.hands->kernel.fault("rebinds", "0000:01:00.2");
  const std::string said = refusal(world, {.gpu = "0", .guest = "train1", .wish = kEverything});
  EXPECT_TRUE(has(said, "0000:01:00.2 has xhci_hcd instead of vfio-pci.")) << said;
  EXPECT_TRUE(has(said, "All is as it was before.")) << said;
}

TEST(AttachUndoes, AnUnbindThatTakesTooLong) {
  World world("a100-vfs");
  world.hands->kernel.fault("unbind-slow", "0000:41:00.6");
  const std::string said = refusal(world, {.gpu = "41:00.6", .guest = "train1"});
  EXPECT_TRUE(has(said, "nvidia does not let go of 0000:41:00.6: ")) << said;
  EXPECT_TRUE(has(said, "All is as it was before.")) << said;
}

TEST(AttachUndoes, AProbeThatIsRefusedAndAModuleThatIsMissing) {
  World world("a100-vfs");
  world.hands->kernel.fault("probe-refuses", "0000:41:00.6");
  EXPECT_TRUE(has(refusal(world, {.gpu = "41:00.6", .guest = "train1"}), "has no driver instead of vfio-pci"));
  world.hands->kernel.cure("probe-refuses", "0000:41:00.6");
  std::filesystem::remove_all(world.root() + "/sys/module/vfio_pci");
  world.hands->kernel.fault("no-module", "vfio-pci");
  EXPECT_TRUE(has(refusal(world, {.gpu = "41:00.6", .guest = "train1"}),
                  "`modprobe vfio-pci` failed: modprobe: FATAL: Module vfio-pci not found"));
}

TEST(AttachUndoes, AHolderThatDoesNotEnd) {
  World world("dgx");
  world.hands->kernel.unit("nvidia-persistenced.service", 900);
  world.hands->kernel.fault("ignores-sigterm", "4242");
  const std::string said = refusal(world, {.gpu = "2", .guest = "train1", .wish = {.stop_holders = true}});
  EXPECT_TRUE(has(said, "Process 4242 has not ended")) << said;  // and the daemon runs again
}

TEST(AttachUndoes, WhenTheUserInterrupts) {
  World world("a100-vfs");
  world.hands->at_moment = [&](const Moment& moment) {
    if (moment.what == Moment::What::verified) world.hands->kernel.interrupt = true;
  };
  EXPECT_TRUE(
      has(refusal(world, {.gpu = "41:00.6", .guest = "train1"}), "You interrupted it. All is as it was before."));
}

// The kernel keeps the process that unbinds. Nothing can be done then, but nothing is forgotten either.
TEST(Attach, AnUnbindThatBlocksForEverIsRecoveredWhenTheKernelLetsGo) {
  World world("a100-vfs");
  Hands& hands = *world.hands;
  const std::string before = hands.all();
  hands.kernel.fault("unbind-blocks", "0000:41:00.6");
  auto report = hands.manager.attach({.gpu = "41:00.6", .guest = "train1"});
  ASSERT_FALSE(report);
  EXPECT_TRUE(has(report.error().message, "The kernel still keeps process 7777")) << report.error().message;
  EXPECT_TRUE(has(report.error().message, "run `nearmetal recover`")) << report.error().message;
  report = hands.manager.attach({.gpu = "41:00.6", .guest = "train1"});
  ASSERT_FALSE(report);
  EXPECT_TRUE(has(report.error().message, "An attach of 0000:41:00.6 was interrupted")) << report.error().message;
  auto recovered = hands.manager.recover();
  ASSERT_TRUE(recovered && recovered->size() == 1);
  EXPECT_FALSE((*recovered)[0].good);
  EXPECT_TRUE(has((*recovered)[0].sentence, "waits for the kernel, which still keeps process 7777"));
  hands.kernel.cure("unbind-blocks", "0000:41:00.6");
  recovered = hands.manager.recover();
  ASSERT_TRUE(recovered && recovered->size() == 1);
  EXPECT_TRUE((*recovered)[0].good) << (*recovered)[0].sentence;
  EXPECT_EQ(hands.all(), before);
}

TEST(Detach, OfAGuestThatDoesNotLetGoChangesNothing) {
  World world("gh200");
  Hands& hands = *world.hands;
  ASSERT_TRUE(hands.manager.attach({.gpu = "0", .guest = "train1"}));
  world.machine.tree.file("/.fake/guests/train1/deaf", "");
  const std::string before = hands.all();
  const auto report = hands.manager.detach({.gpu = "0"});
  ASSERT_FALSE(report);
  EXPECT_TRUE(has(report.error().message, "VM train1 has not let go of 0009:01:00.0. All is as it was before."));
  EXPECT_EQ(hands.all(), before);
}

TEST(Detach, WhatIsInNoGuestIsASentence) {
  World world("a100-vfs");
  EXPECT_TRUE(has(world.hands->manager.detach({.gpu = "41:00.6"}).error().message, "is in no guest"));
  EXPECT_TRUE(has(world.hands->manager.detach({.gpu = "41:00.4"}).error().message, "was not attached by nearmetal"));
  EXPECT_TRUE(
      has(world.hands->manager.release({.gpu = "41:00.6"}).error().message, "is not kept for guests by nearmetal"));
}

TEST(Release, WhileInAGuestIsRefused) {
  World world("gh200");
  ASSERT_TRUE(world.hands->manager.attach({.gpu = "0", .guest = "train1"}));
  EXPECT_TRUE(
      has(world.hands->manager.release({.gpu = "0"}).error().message, "`nearmetal detach --release 0009:01:00.0`"));
}

TEST(Release, AGpuThatDoesNotComeBackFromItsResetGoesIntoQuarantine) {
  World world("a100-vfs");
  Hands& hands = *world.hands;
  const Request request{.gpu = "41:00.6", .guest = "train1"};
  ASSERT_TRUE(hands.manager.attach(request));
  ASSERT_TRUE(hands.manager.detach(request));
  hands.kernel.fault("reset-kills", "0000:41:00.6");
  auto report = hands.manager.release(request);
  ASSERT_FALSE(report);
  EXPECT_TRUE(has(report.error().message, "does not answer after its reset")) << report.error().message;
  EXPECT_TRUE(has(report.error().message, "It is in quarantine now")) << report.error().message;
  report = hands.manager.attach(request);
  ASSERT_FALSE(report);
  EXPECT_TRUE(has(report.error().message, "0000:41:00.6 is in quarantine: ")) << report.error().message;
  EXPECT_TRUE(has(hands.manager.release(request).error().message, "is in quarantine. `nearmetal release --force"));
  Request force = request;
  force.force = true;
  report = hands.manager.release(force);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(has(hands.all(), "0000:41:00.6 nvidia (null) lost\n")) << hands.all();
  EXPECT_TRUE(has(hands.manager.attach(request).error().message, "does not answer on the bus"));
}

TEST(Release, ADriverThatRefusesLeavesTheGpuWithVfio) {
  World world("a100-vfs");
  Hands& hands = *world.hands;
  const Request request{.gpu = "41:00.6", .guest = "train1"};
  ASSERT_TRUE(hands.manager.attach(request));
  ASSERT_TRUE(hands.manager.detach(request));
  const std::string kept = hands.all();
  hands.kernel.fault("bind-refuses", "0000:41:00.6");
  const auto report = hands.manager.release(request);
  ASSERT_FALSE(report);
  EXPECT_TRUE(has(report.error().message, "nvidia takes 0000:41:00.6 no more")) << report.error().message;
  EXPECT_EQ(hands.all(), kept);
}

TEST(Recover, AGuestThatEndedLeavesTheGpuForTheNext) {
  World world("gh200");
  Hands& hands = *world.hands;
  ASSERT_TRUE(hands.manager.attach({.gpu = "0", .guest = "train1"}));
  std::filesystem::remove_all(hands.backend.directory("train1"));
  const auto recovered = hands.manager.recover();
  ASSERT_TRUE(recovered && recovered->size() == 1);
  EXPECT_TRUE(has((*recovered)[0].sentence, "was in VM train1, which has ended or let go of it"));
  EXPECT_TRUE(has(hands.all(), "kept 0009:01:00.0 in \"\"\n"));
  EXPECT_TRUE(hands.manager.attach({.gpu = "0", .guest = "train2"}));
}

TEST(Recover, AfterARestartOfTheHostAttachmentsAreForgotten) {
  World world("a100-vfs");
  Hands& hands = *world.hands;
  const std::string before = hands.all();
  ASSERT_TRUE(hands.manager.attach({.gpu = "41:00.6", .guest = "train1"}));
  hands.kernel.reboot();
  std::filesystem::remove_all(hands.backend.directory("train1"));
  const auto recovered = hands.manager.recover();
  ASSERT_TRUE(recovered && recovered->size() == 1);
  EXPECT_TRUE(has((*recovered)[0].sentence, "is the host's again since the host was restarted"));
  EXPECT_FALSE(has(hands.all(), "kept"));
  EXPECT_TRUE(hands.manager.recover()->empty());
}

}  // namespace
}  // namespace nm::attach
