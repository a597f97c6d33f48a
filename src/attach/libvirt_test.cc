// The libvirt backend against a virsh of ours, which keeps domains in memory and misbehaves where it is told to.
// Against libvirt itself: tests/e2e/vm_libvirt.sh.
#include "attach/libvirt.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "attach/virsh.h"
#include "inventory/scratch.h"

namespace nm::attach {
namespace {

constexpr const char* kUuid = "4dea22b3-1d52-d8f3-2516-782e98ab3fa0";
const PciAddress kGpu{.bus = 0x65}, kAudio{.bus = 0x65, .function = 1};

struct FakeDomain {
  std::string name = "train1", uuid = kUuid, machine = "pc-q35-7.2", trailer;
  bool running = true, persistent = true;
  std::set<PciAddress> live, config;
  bool deaf = false;    // asked for a device, it does nothing
  int busy = 0;         // looks before it lets go
  std::string refusal;  // of attach-device
  std::set<PciAddress> leaving = {};
};

class FakeVirsh : public System {
 public:
  FakeVirsh() : host_(scratch_.path()) { inventory::FakeHost(scratch_.path()).file("/usr/bin/virsh", ""); }

  const inventory::Host& host() const override { return host_; }
  Result<void> write(const std::string& path, const std::string&, Millis) override { return Error{path}; }
  std::vector<StuckWriter> stuck() override { return {}; }
  Result<void> end_process(pid_t, uint64_t, Millis) override { return {}; }
  void pause() override { ++pauses; }
  bool interrupted() const override { return interrupt; }

  Result<Finished> run(const std::vector<std::string>& argv, Millis, const std::string& input) override {
    EXPECT_GE(argv.size(), 5u);
    EXPECT_EQ(argv[0], "virsh");
    EXPECT_EQ(argv[3], "qemu:///system");
    if (!daemon_error.empty()) return Finished{.status = 1, .err = daemon_error};
    const std::string& verb = argv[4];
    if (verb == "list") {
      std::string all;
      for (const FakeDomain& domain : domains) all += domain.uuid + "\n";
      return Finished{.status = 0, .out = all + "\n"};
    }
    FakeDomain* domain = nullptr;
    for (FakeDomain& one : domains) domain = one.uuid == argv[5] ? &one : domain;
    if (!domain) return failure("error: failed to get domain '" + argv[5] + "'\n");
    if (verb == "dumpxml") return Finished{.status = 0, .out = xml(*domain, argv.back() == "--inactive")};
    if (verb == "dominfo") {
      return Finished{.status = 0,
                      .out = fmt::format("Id: 3\nPersistent:     {}\n", domain->persistent ? "yes" : "no")};
    }
    changes.push_back(verb + " " + argv.back());
    EXPECT_EQ(argv[6], "/dev/stdin");
    const auto parsed =
        parse_domain(fmt::format("<domain><name>x</name><uuid>{}</uuid><devices>{}</devices></domain>", kUuid, input));
    EXPECT_TRUE(parsed && parsed->devices.size() == 1) << input;
    const PciAddress address = parsed->devices.at(0);
    const bool config = argv.back() == "--config";
    if (!config && !domain->running) return failure("error: Requested operation is not valid: domain is not running\n");
    if (verb == "attach-device") {
      if (!domain->refusal.empty())
        return failure("error: Failed to attach device from /dev/stdin\nerror: " + domain->refusal + "\n");
      (config ? domain->config : domain->live).insert(address);
    } else if (config) {
      domain->config.erase(address);
    } else if (!domain->deaf) {
      domain->leaving.insert(address);
    }
    return Finished{.status = 0};
  }

  std::vector<FakeDomain> domains = {FakeDomain{}};
  std::vector<std::string> changes;
  std::string daemon_error;
  bool interrupt = false;
  size_t pauses = 0;

 private:
  static Finished failure(const std::string& text) { return {.status = 1, .err = text}; }

  std::string xml(FakeDomain& domain, bool inactive) {
    if (!inactive && !domain.leaving.empty() && domain.busy-- <= 0) {
      for (const PciAddress& address : domain.leaving) domain.live.erase(address);
      domain.leaving.clear();
    }
    std::string devices;
    for (const PciAddress& address : inactive || !domain.running ? domain.config : domain.live)
      devices += hostdev_xml(address);
    return fmt::format(
        "<domain type='kvm'{}>\n<name>{}</name>\n<uuid>{}</uuid>\n<os><type arch='x86_64' "
        "machine='{}'>hvm</type></os>\n"
        "<devices><emulator>/usr/bin/qemu</emulator>{}</devices>{}</domain>\n",
        domain.running && !inactive ? " id='3'" : "", domain.name, domain.uuid, domain.machine, devices,
        domain.trailer);
  }

  inventory::Scratch scratch_;
  inventory::DirectoryHost host_;
};

struct World {
  FakeVirsh virsh;
  LibvirtBackend backend{virsh, "qemu:///system"};
  inventory::Gpu gpu;
  Context context{.system = virsh, .guest = Millis(50)};

  Guest guest() {
    const auto guests = backend.guests();
    EXPECT_TRUE(guests && guests->size() == 1);
    return guests->at(0);
  }
  Result<Plan> plan(bool persistent = false, bool both = false) {
    Handover handover{.gpu = gpu, .functions = {{.address = kGpu}}, .persistent = persistent};
    if (both) handover.functions.push_back({.address = kAudio});
    return backend.plan(handover, guest());
  }
  FakeDomain& domain() { return virsh.domains[0]; }
};

bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(Libvirt, PlugsInAndTakesOutAgain) {
  World world;
  const auto plan = world.plan(false, true);
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_EQ(plan->steps.size(), 2u);
  ASSERT_EQ(plan->notes.size(), 1u);
  for (const auto& step : plan->steps) {
    ASSERT_TRUE(step->perform(world.context));
    ASSERT_TRUE(step->verify(world.context));
    ASSERT_TRUE(step->perform(world.context)) << "a second time changes nothing";
  }
  EXPECT_EQ(world.virsh.changes, (std::vector<std::string>{"attach-device --live", "attach-device --live"}));
  EXPECT_EQ(world.domain().live, (std::set<PciAddress>{kGpu, kAudio}));
  EXPECT_TRUE(*world.backend.has(kUuid, {kGpu, kAudio}));
  for (const auto& step : plan->steps) {
    ASSERT_TRUE(step->undo(world.context));
    ASSERT_TRUE(step->verify_undone(world.context));
    ASSERT_TRUE(step->undo(world.context)) << "a second time changes nothing";
  }
  EXPECT_TRUE(world.domain().live.empty());
  EXPECT_FALSE(*world.backend.has(kUuid, {kGpu}));
}

TEST(Libvirt, APersistentOneIsInTheDefinitionToo) {
  World world;
  const auto plan = world.plan(true);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_TRUE(plan->steps[0]->survives_boot());
  ASSERT_TRUE(plan->steps[0]->perform(world.context));
  EXPECT_EQ(world.domain().live.size(), 1u);
  EXPECT_EQ(world.domain().config.size(), 1u);
  ASSERT_TRUE(plan->steps[0]->undo(world.context));
  EXPECT_TRUE(world.domain().live.empty() && world.domain().config.empty());
}

TEST(Libvirt, ADomainThatDoesNotRunCanOnlyHaveItInItsDefinition) {
  World world;
  world.domain().running = false;
  auto plan = world.plan();
  ASSERT_FALSE(plan);
  EXPECT_TRUE(mentions(plan.error().message, "VM train1 does not run. Start it (virsh start train1)"));
  plan = world.plan(true);
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_TRUE(plan->steps[0]->perform(world.context));
  EXPECT_EQ(world.virsh.changes, (std::vector<std::string>{"attach-device --config"}));
  EXPECT_FALSE(*world.backend.has(kUuid, {kGpu})) << "it does not run with it";
}

TEST(Libvirt, WaitsUntilTheGuestHasReallyLetGo) {
  World world;
  world.domain().live = {kGpu};
  world.domain().busy = 5;
  world.context.guest = Millis(600'000);
  const auto step = world.backend.step("libvirt-device", {{"uri", "qemu:///system"},
                                                          {"uuid", kUuid},
                                                          {"name", "train1"},
                                                          {"address", kGpu.text()},
                                                          {"live", true},
                                                          {"config", false}});
  ASSERT_TRUE(step && *step);
  ASSERT_TRUE((*step)->undo(world.context));
  EXPECT_TRUE(world.domain().live.empty());
  EXPECT_GE(world.virsh.pauses, 3u);
  EXPECT_EQ(world.virsh.changes.size(), 1u) << "asked once";
}

TEST(Libvirt, AGuestThatNeverLetsGoIsSaidToBeAtFault) {
  World world;
  world.domain().live = {kGpu};
  world.domain().deaf = true;
  const auto step = world.backend.step(
      "libvirt-device",
      {{"uri", "qemu:///system"}, {"uuid", kUuid}, {"name", "train1"}, {"address", kGpu.text()}, {"live", true}});
  const auto out = (*step)->undo(world.context);
  ASSERT_FALSE(out);
  EXPECT_TRUE(mentions(out.error().message, "VM train1 has not let go of 0000:65:00.0"));
  EXPECT_TRUE(mentions(out.error().message, "shut the guest down"));
  EXPECT_FALSE((*step)->verify_undone(world.context));
  EXPECT_EQ(world.domain().live.size(), 1u);
  world.virsh.interrupt = true;
  EXPECT_TRUE(mentions((*step)->undo(world.context).error().message, "Stopped while"));
}

TEST(Libvirt, AGuestThatHasEndedHasLetGo) {
  World world;
  const auto plan = world.plan();
  ASSERT_TRUE(plan->steps[0]->perform(world.context));
  world.virsh.domains.clear();
  EXPECT_TRUE(plan->steps[0]->undo(world.context));
  EXPECT_TRUE(plan->steps[0]->verify_undone(world.context));
  EXPECT_FALSE(*world.backend.has(kUuid, {kGpu}));
}

TEST(Libvirt, RefusalsCarryLibvirtsReasonAndTheNextStep) {
  World world;
  const auto plan = world.plan();
  world.domain().refusal = "internal error: No more available PCI slots";
  auto done = plan->steps[0]->perform(world.context);
  ASSERT_FALSE(done);
  EXPECT_TRUE(mentions(done.error().message, "pcie-root-port"));
  EXPECT_FALSE(mentions(done.error().message, "Failed to attach")) << "the first line says nothing";
  world.domain().refusal =
      "Requested operation is not valid: PCI device 0000:65:00.0 is in use by driver QEMU, domain b";
  done = plan->steps[0]->perform(world.context);
  EXPECT_TRUE(mentions(done.error().message, "Take it from there first"));
  EXPECT_TRUE(world.domain().live.empty());
}

TEST(Libvirt, RefusesWhatCannotWork) {
  World world;
  world.domain().machine = "pc-i440fx-7.2";
  EXPECT_TRUE(mentions(world.plan().error().message, "Use a q35 machine"));
  world.domain().machine = "pc-q35-7.2";
  world.domain().persistent = false;
  EXPECT_TRUE(mentions(world.plan(true).error().message, "has no definition"));
  world.domain().live = {kGpu};
  EXPECT_TRUE(mentions(world.plan().error().message, "has 0000:65:00.0 in its definition already"));
}

TEST(Libvirt, WithoutLibvirtThereAreNoGuests) {
  World world;
  world.virsh.daemon_error =
      "error: failed to connect to the hypervisor\nerror: Failed to connect socket to '/var/run/libvirt/libvirt-sock': "
      "No such file or directory\n";
  const auto guests = world.backend.guests();
  ASSERT_TRUE(guests) << guests.error().message;
  EXPECT_TRUE(guests->empty());
  world.virsh.daemon_error =
      "error: failed to connect to the hypervisor\nerror: authentication unavailable: no polkit agent available\n";
  const auto refused = world.backend.guests();
  ASSERT_FALSE(refused);
  EXPECT_TRUE(mentions(refused.error().message, "no polkit agent"));
}

TEST(Libvirt, HostileDefinitionsAreRefusedAndHarmless) {
  World world;
  for (const char* name : {"", "a</name><uuid>x</uuid><name>", "&lt;b&gt;"}) {
    world.domain().name = name;
    const auto guests = world.backend.guests();
    if (guests) EXPECT_EQ(guests->at(0).name, "<b>");
  }
  world.domain().name = "x";
  world.domain().trailer =
      "<metadata><hostdev type='pci'><source><address bus='0x65' slot='0' function='0'/></source></hostdev></metadata>";
  EXPECT_FALSE(*world.backend.has(kUuid, {kGpu})) << "only what stands among the devices counts";
  world.domain().trailer = "<unfinished";
  EXPECT_FALSE(world.backend.guests());
  EXPECT_FALSE(world.backend.has("; rm -rf /", {kGpu}));
  EXPECT_FALSE(parse_domain("<domain><name>x</name></domain>"));
  for (const char* odd : {"bus='0x165'", "bus='zz'", "bus='-1'", ""}) {
    const auto domain =
        parse_domain(fmt::format("<domain><name>x</name><uuid>{}</uuid><devices><hostdev type='pci'><source><address "
                                 "{} slot='0x0' function='0x0'/></source></hostdev></devices></domain>",
                                 kUuid, odd));
    ASSERT_TRUE(domain);
    EXPECT_TRUE(domain->devices.empty()) << odd;
  }
}

TEST(Libvirt, AStepComesBackFromItsRecord) {
  World world;
  const auto plan = world.plan(true);
  const Json record = plan->steps[0]->record();
  const auto again = world.backend.step(plan->steps[0]->kind(), record);
  ASSERT_TRUE(again && *again);
  EXPECT_EQ((*again)->record(), record);
  EXPECT_EQ((*again)->commands(), plan->steps[0]->commands());
  EXPECT_FALSE(*world.backend.step("bind", record));
  for (const char* key : {"uri", "uuid", "address"}) {
    Json broken = record;
    broken[key] = 7;
    EXPECT_FALSE(world.backend.step("libvirt-device", broken)) << key;
  }
}

}  // namespace
}  // namespace nm::attach
