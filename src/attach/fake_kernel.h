// A kernel for tests: a machine's files in a directory (inventory/fake_host.h) which react when they are written to, as
// far as attaching needs it. All state is in the directory, so that a test can kill the process that acts on it, look,
// and let another one go on.
//
// What goes wrong is a file too: `fault("unbind-blocks", "0000:01:00.0")`.
//   unbind-blocks ADDRESS    the write does not come back; the process that wrote cannot be killed
//   unbind-slow ADDRESS      the write does not come back; the process can be killed, and nothing has happened
//   rebinds ADDRESS          the old driver is back at once, whatever the override says
//   probe-refuses ADDRESS    vfio-pci's probe fails
//   bind-refuses ADDRESS     the old driver does not take it back
//   reset-kills ADDRESS      after a reset the configuration reads as all ones
//   ignores-sigterm PID
//   no-module NAME
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "attach/system.h"
#include "inventory/fake_host.h"

namespace nm::attach {

class FakeKernel : public System {
 public:
  // Goes on from what the directory has.
  explicit FakeKernel(const std::string& root);

  const inventory::Host& host() const override { return host_; }
  Result<void> write(const std::string& path, const std::string& text, Millis limit) override;
  std::vector<StuckWriter> stuck() override;
  Result<Finished> run(const std::vector<std::string>& argv, Millis limit, const std::string& input) override;
  Result<void> end_process(pid_t pid, uint64_t started, Millis limit) override;
  void pause() override { ++pauses; }
  bool interrupted() const override { return interrupt; }

  void fault(const std::string& what, const std::string& which);
  void cure(const std::string& what, const std::string& which);
  // A process that a unit of systemd has started.
  void unit(const std::string& name, int pid);
  void reboot();
  // Drivers, overrides, consoles, processes, configuration: one line each, sorted.
  std::string state() const;

  bool interrupt = false, root = true;
  size_t pauses = 0;
  // Called before and after each thing that changes the host.
  std::function<void(const std::string&)> at_change;

 private:
  class RootHost : public inventory::DirectoryHost {
   public:
    RootHost(std::string root, const FakeKernel& kernel) : DirectoryHost(std::move(root)), kernel_(kernel) {}
    inventory::Self self() const override {
      inventory::Self self = DirectoryHost::self();
      self.root = kernel_.root;
      return self;
    }

   private:
    const FakeKernel& kernel_;
  };

  bool faulty(const std::string& what, const std::string& which) const;
  std::string driver_of(const std::string& address) const;
  void set_driver(const std::string& address, const std::string& driver);
  std::string content(const std::string& path) const;
  void replace(const std::string& path, const std::string& text);
  Result<void> probe(const std::string& address);
  Result<void> react(const std::string& path, const std::string& text);

  std::string root_;
  RootHost host_;
};

}  // namespace nm::attach
