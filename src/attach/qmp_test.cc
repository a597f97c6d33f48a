// The monitor's client and the backend on it, with machines of every temper.
#include "attach/qmp.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "attach/fake_qemu.h"
#include "attach/qemu.h"
#include "attach/qmp_backend.h"
#include "attach/qmp_device.h"
#include "attach/world.h"
#include "base/process.h"

namespace nm::attach {
namespace {

using Temper = FakeQemu::Temper;

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string connecting_to(Temper temper, Millis limit = Millis(20'000)) {
  const inventory::Scratch scratch;
  FakeQemu qemu(scratch.path() + "/s", temper);
  auto qmp = Qmp::connect(qemu.socket(), limit);
  if (!qmp) return qmp.error().message;
  auto answer = qmp->command("query-pci", Qmp::Json::object(), limit);
  return answer ? "" : answer.error().message;
}

TEST(Qmp, AMonitorThatMisbehavesIsASentence) {
  EXPECT_EQ(connecting_to(Temper::willing), "");
  EXPECT_TRUE(has(connecting_to(Temper::closing), "/s has closed the connection"));
  EXPECT_TRUE(has(connecting_to(Temper::garbage), "answers with what is no JSON object: \"Welcome to the monitor\""));
  EXPECT_TRUE(has(connecting_to(Temper::deep), "nested too deep"));
  EXPECT_TRUE(has(connecting_to(Temper::endless_line), "a line that does not end"));
  EXPECT_TRUE(has(connecting_to(Temper::no_result), "with neither a result nor an error"));
  EXPECT_TRUE(has(connecting_to(Temper::events_forever), "sends events without end"));
  EXPECT_TRUE(has(connecting_to(Temper::no_greeting, Millis(100)), "has not greeted"));
}

TEST(Qmp, ASocketThatIsNotThereIsASentence) {
  const inventory::Scratch scratch;
  EXPECT_TRUE(has(Qmp::connect(scratch.path() + "/none", Millis(100)).error().message, "No such file or directory"));
  EXPECT_TRUE(has(Qmp::connect("/" + std::string(200, 'x'), Millis(100)).error().message, "File name too long"));
  EXPECT_TRUE(nobody_listens(scratch.path() + "/none"));
}

TEST(Qemu, ItsSocketsAreReadOffItsCommandLine) {
  const auto line = [](const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += word + '\0';
    return qmp_sockets(text);
  };
  using List = std::vector<std::string>;
  EXPECT_EQ(line({"qemu", "-qmp", "unix:/run/a,server=on,wait=off"}), List{"/run/a"});
  EXPECT_EQ(line({"qemu", "--qmp", "unix:/run/a,,b,server,nowait"}), List{"/run/a,b"});
  EXPECT_EQ(line({"qemu", "-chardev", "socket,id=m,path=/run/m,server=on", "-mon", "chardev=m,mode=control"}),
            List{"/run/m"});
  EXPECT_EQ(line({"qemu", "-chardev", "socket,id=m,path=/run/m", "-mon", "m,mode=control"}), List{"/run/m"});
  EXPECT_EQ(line({"qemu", "-chardev", "socket,id=m,path=/run/m", "-mon", "chardev=m,mode=readline"}), List{});
  EXPECT_EQ(line({"qemu", "-chardev", "socket,id=m,fd=24", "-mon", "chardev=m,mode=control"}), List{});
  EXPECT_EQ(line({"qemu", "-qmp", "tcp:127.0.0.1:4444,server=on"}), List{});
  EXPECT_EQ(line({"qemu", "-qmp"}), List{});
  EXPECT_EQ(line({}), List{});
}

// A machine whose GPUs are files, and a QEMU whose monitor is real.
struct WithQemu {
  explicit WithQemu(const std::string& shape, Temper temper = Temper::willing,
                    std::vector<std::string> ports = {"rp1", "rp2"})
      : world(shape, {}),
        qemu(world.root() + "/qmp", temper, std::move(ports)),
        kernel(world.root()),
        backend(kernel.host()) {
    world.machine.tree.process(
        5000, "qemu-system-x86_64", {},
        {"qemu-system-x86_64", "-name", "guest=train1", "-qmp", "unix:" + qemu.socket() + ",server=on"});
  }
  Manager manager(Millis guest = Millis(20'000)) {
    return Manager({.system = kernel, .kernel = Millis(50), .guest = guest}, world.root() + "/state", {&backend});
  }
  World world;
  FakeQemu qemu;
  FakeKernel kernel;
  QmpBackend backend;
};

TEST(QmpBackend, FindsAMachineByNameByProcessAndBySocket) {
  WithQemu with("gh200");
  for (const std::string& name : {std::string("train1"), std::string("5000"), with.qemu.socket()}) {
    const auto guest = find_guest({&with.backend}, name);
    ASSERT_TRUE(guest) << guest.error().message;
    EXPECT_EQ(guest->name, "train1");
    EXPECT_EQ(guest->id, with.qemu.socket());
  }
  with.world.machine.tree.process(5001, "qemu-system-x86_64", {}, {"qemu-system-x86_64", "-name", "deaf"});
  EXPECT_TRUE(has(find_guest({&with.backend}, "deaf").error().message, "VM deaf (pid 5001) has no QMP socket"));
  EXPECT_TRUE(has(find_guest({&with.backend}, "none").error().message, "Those found: train1."));
  EXPECT_TRUE(has(find_guest({&with.backend}, "/no/such/socket").error().message, "/no/such/socket: No such file"));
}

TEST(QmpBackend, PlugsACardFunctionZeroLastAndUnplugsItFirst) {
  WithQemu with("desktop");
  with.kernel.unit("gdm.service", 812);
  with.kernel.unit("pipewire.service", 1300);
  const std::string before = with.kernel.state();
  auto report = with.manager().attach({.gpu = "0", .guest = "train1", .wish = kEverything});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(with.qemu.devices(), (std::vector<std::string>{"nearmetal-0000-01-00.3 0000:01:00.3 rp1 0x0.3 false",
                                                           "nearmetal-0000-01-00.2 0000:01:00.2 rp1 0x0.2 false",
                                                           "nearmetal-0000-01-00.1 0000:01:00.1 rp1 0x0.1 false",
                                                           "nearmetal-0000-01-00.0 0000:01:00.0 rp1 0x0.0 true"}));
  report = with.manager().detach({.gpu = "0", .release = true});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(with.qemu.devices().empty());
  EXPECT_EQ(with.kernel.state(), before);
}

TEST(QmpBackend, AVirtualFunctionBecomesFunctionZero) {
  WithQemu with("a100-vfs");
  const auto report = with.manager().attach({.gpu = "41:00.6", .guest = with.qemu.socket()});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(with.qemu.devices(), (std::vector<std::string>{"nearmetal-0000-41-00.6 0000:41:00.6 rp1 0x0.0 false"}));
}

TEST(QmpBackend, WithoutAnEmptyPortItIsRefusedBeforeTheHostIsTouched) {
  WithQemu with("gh200", Temper::willing, {});
  const auto report = with.manager().attach({.gpu = "0", .guest = "train1"});
  ASSERT_FALSE(report);
  EXPECT_TRUE(has(report.error().message, "VM train1 has no empty PCIe root port")) << report.error().message;
  EXPECT_TRUE(has(report.error().message, "pref64-reserve=")) << report.error().message;
}

TEST(QmpBackend, ARefusalOfQemusUndoesTheBinding) {
  WithQemu with("a100-vfs");
  const std::string before = with.kernel.state();
  with.qemu.refuse_additions(
      "vfio 0000:41:00.6: failed to setup container: VFIO_MAP_DMA failed: Cannot allocate memory");
  const auto report = with.manager().attach({.gpu = "41:00.6", .guest = "train1"});
  ASSERT_FALSE(report);
  EXPECT_TRUE(has(report.error().message, "raise its memlock limit. All is as it was before."))
      << report.error().message;
  EXPECT_EQ(with.kernel.state(), before);
}

struct Letting {
  Temper temper;
  const char* sentence;  // null: it is out
};

TEST(QmpBackend, AGuestLetsGoAtOnceLaterOrNotAtAll) {
  for (const Letting& letting :
       {Letting{Temper::willing, nullptr},
        {Temper::slow, nullptr},
        {Temper::dying, nullptr},
        {Temper::silent, "has not let go of 0009:01:00.0 within 0 s; it keeps the GPU, and nothing"},
        {Temper::refusing, "refuses to let go of 0009:01:00.0: its kernel has said no."}}) {
    WithQemu with("gh200");
    ASSERT_TRUE(with.manager().attach({.gpu = "0", .guest = with.qemu.socket()}));
    with.qemu.set_temper(letting.temper);
    const auto report =
        with.manager(letting.temper == Temper::silent ? Millis(200) : Millis(20'000)).detach({.gpu = "0"});
    EXPECT_EQ(static_cast<bool>(report), letting.sentence == nullptr) << (report ? "" : report.error().message);
    if (!report) {
      EXPECT_TRUE(has(report.error().message, letting.sentence)) << report.error().message;
      EXPECT_EQ(with.qemu.devices().size(), 1u);
    }
    EXPECT_TRUE(has(with.kernel.state(), "0009:01:00.0 nvgrace_gpu_vfio_pci"));
    // What the guest lets go of later is out all the same, whoever asks next.
    with.qemu.drop("0009:01:00.0");
    with.qemu.set_temper(Temper::willing);
    EXPECT_TRUE(with.manager().detach({.gpu = "0"})) << static_cast<int>(letting.temper);
  }
}

TEST(QmpBackend, AnswersOfTheWrongShapeAreRefused) {
  WithQemu with("gh200", Temper::wrong_answers);
  const auto report = with.manager().attach({.gpu = "0", .guest = "train1"});
  ASSERT_FALSE(report);
  EXPECT_TRUE(has(report.error().message, "does not list its PCI devices")) << report.error().message;
}

// A genuine QEMU that has not begun to run: its ports, and a device of its own that comes and goes.
TEST(GenuineQemu, HasPortsAndLetsADeviceComeAndGo) {
  constexpr const char* kQemu = "/usr/bin/qemu-system-x86_64";
  if (::access(kQemu, X_OK) != 0) GTEST_SKIP() << "there is no " << kQemu;
  const inventory::Scratch scratch;
  const std::string socket = scratch.path() + "/qmp";
  const Fd log(::open((scratch.path() + "/log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  auto qemu = spawn({.argv = {kQemu,
                              "-S",
                              "-machine",
                              "q35",
                              "-accel",
                              "tcg",
                              "-m",
                              "64",
                              "-nodefaults",
                              "-display",
                              "none",
                              "-name",
                              "guest=genuine",
                              "-qmp",
                              "unix:" + socket + ",server=on,wait=off",
                              "-device",
                              "pcie-root-port,id=fixed,chassis=1,slot=1,hotplug=off",
                              "-device",
                              "pcie-root-port,id=taken,chassis=2,slot=2",
                              "-device",
                              "virtio-rng-pci,bus=taken",
                              "-device",
                              "pcie-root-port,id=free,chassis=3,slot=3"},
                     .env = current_environment(),
                     .fds = {{log.get(), 1}, {log.get(), 2}},
                     .die_with_parent = true});
  ASSERT_TRUE(qemu) << qemu.error().message;
  const TimePoint deadline = Clock::now() + Millis(120'000);
  while (nobody_listens(socket) && Clock::now() < deadline) ::usleep(20'000);

  const inventory::DirectoryHost host;
  QmpBackend backend(host);
  const auto guest = find_guest({&backend}, "genuine");
  ASSERT_TRUE(guest) << guest.error().message;
  EXPECT_EQ(guest->pid, qemu->pid());
  inventory::Gpu gpu;
  gpu.function.address = {.bus = 0x65};
  const auto plan = backend.plan({.gpu = gpu, .functions = {gpu.function}}, *guest);
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_EQ(plan->steps.size(), 1u);
  EXPECT_EQ(plan->steps[0]->record()["bus"], "free");
  RealSystem system;
  Context context{.system = system};
  const auto added = plan->steps[0]->perform(context);  // this host has no such device
  ASSERT_FALSE(added);
  EXPECT_TRUE(has(added.error().message, "VM genuine does not take 0000:65:00.0: ")) << added.error().message;
  EXPECT_TRUE(plan->steps[0]->undo(context));
  EXPECT_TRUE(plan->steps[0]->verify_undone(context));
  {
    auto qmp = Qmp::connect(socket, Millis(60'000));
    ASSERT_TRUE(qmp) << qmp.error().message;
    EXPECT_EQ(qmp->peer(), qemu->pid());
    // Under the name that a GPU of ours would have: the step's undo takes it for one.
    const auto plugged = qmp->command(
        "device_add", {{"driver", "virtio-rng-pci"}, {"id", qmp_device_id(gpu.function.address)}, {"bus", "free"}},
        Millis(60'000));
    ASSERT_TRUE(plugged && plugged->good()) << plugged->error;
  }
  EXPECT_TRUE(*backend.has(socket, {gpu.function.address}));
  EXPECT_TRUE(plan->steps[0]->verify(context));
  EXPECT_TRUE(
      has(backend.plan({.gpu = gpu, .functions = {gpu.function}}, *guest).error().message, "no empty PCIe root port"));
  const auto undone = plan->steps[0]->undo(context);
  EXPECT_TRUE(undone) << undone.error().message;
  EXPECT_FALSE(*backend.has(socket, {gpu.function.address}));
  qemu->signal(SIGKILL);
  qemu->wait();
  EXPECT_TRUE(plan->steps[0]->undo(context));  // with its machine, it is gone
  EXPECT_FALSE(*backend.has(socket, {gpu.function.address}));
}

}  // namespace
}  // namespace nm::attach
