// The libvirt backend against a libvirtd, with a domain "nm-running" that runs and one "nm-defined" that does not. The
// host has no GPU to hand over, so what needs one is tested up to libvirt's refusal.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "attach/libvirt.h"

namespace nm::attach {
namespace {

const PciAddress kGpu{.domain = 0xfff0, .bus = 0x65};  // nobody has it

struct Real {
  RealSystem system;
  LibvirtBackend backend{system, ::getenv("NM_LIBVIRT_URI") ? ::getenv("NM_LIBVIRT_URI") : ""};
  Context context{.system = system};
  inventory::Gpu gpu;

  Guest guest(const std::string& name) {
    const auto guest = find_guest({&backend}, name);
    EXPECT_TRUE(guest) << guest.error().message;
    return guest ? *guest : Guest{};
  }
  Result<Plan> plan(const std::string& name, bool persistent) {
    return backend.plan({.gpu = gpu, .functions = {{.address = kGpu}}, .persistent = persistent}, guest(name));
  }
};

TEST(LibvirtReal, FindsItsDomains) {
  Real real;
  const Guest running = real.guest("nm-running"), defined = real.guest("nm-defined");
  EXPECT_GT(running.pid, 0);
  EXPECT_EQ(defined.pid, 0);
  EXPECT_FALSE(*real.backend.has(running.id, {kGpu}));
  EXPECT_FALSE(*real.backend.has("00000000-0000-0000-0000-000000000000", {kGpu})) << "there is no such domain";
}

TEST(LibvirtReal, ADefinitionGetsItAndLosesItAgain) {
  Real real;
  for (const char* name : {"nm-defined"}) {
    const auto plan = real.plan(name, true);
    ASSERT_TRUE(plan) << plan.error().message;
    Step& step = *plan->steps.at(0);
    for (int round = 0; round < 2; ++round) {
      auto done = step.perform(real.context);
      ASSERT_TRUE(done) << done.error().message;
      done = step.verify(real.context);
      ASSERT_TRUE(done) << done.error().message;
    }
    const auto twice = real.plan(name, true);
    ASSERT_FALSE(twice) << "it is there already";
    for (int round = 0; round < 2; ++round) {
      auto done = step.undo(real.context);
      ASSERT_TRUE(done) << done.error().message;
      done = step.verify_undone(real.context);
      ASSERT_TRUE(done) << done.error().message;
    }
  }
}

TEST(LibvirtReal, ADeviceThatTheHostHasNotIsRefusedAndTheGuestRunsOn) {
  Real real;
  const auto plan = real.plan("nm-running", false);
  ASSERT_TRUE(plan) << plan.error().message;
  const auto done = plan->steps.at(0)->perform(real.context);
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find(kGpu.text()), std::string::npos) << done.error().message;
  EXPECT_FALSE(plan->steps.at(0)->verify(real.context));
  EXPECT_TRUE(plan->steps.at(0)->undo(real.context));
  EXPECT_GT(real.guest("nm-running").pid, 0);
}

TEST(LibvirtReal, ADomainThatDoesNotRunIsSaidSo) {
  Real real;
  const auto plan = real.plan("nm-defined", false);
  ASSERT_FALSE(plan);
  EXPECT_NE(plan.error().message.find("does not run"), std::string::npos);
}

}  // namespace
}  // namespace nm::attach
