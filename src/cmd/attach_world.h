// What the verbs attach, detach, release and recover share: the host that they act on, and how they tell.
#pragma once

#include <memory>
#include <vector>

#include "attach/manager.h"
#include "cmd/command_line.h"

namespace nm::cmd {

// This machine and its hypervisors; a test's program brings others.
struct AttachWorld {
  std::unique_ptr<attach::System> system;
  std::vector<std::unique_ptr<attach::Backend>> backends;
  attach::Watcher watcher;  // besides the progress that is shown

  std::vector<attach::Backend*> list() const {
    std::vector<attach::Backend*> all;
    for (const auto& backend : backends) all.push_back(backend.get());
    return all;
  }
};
// The list of the hypervisors that there are stands here.
AttachWorld real_world();

int attach_in(AttachWorld& world, const Args& args);
int detach_in(AttachWorld& world, const Args& args);
int release_in(AttachWorld& world, const Args& args);
int recover_in(AttachWorld& world, const Args& args);
int status_in(AttachWorld& world, const Args& args);

struct AttachShow {
  std::string output = "text";
  double timeout = 0;  // seconds; 0: not said
};
void add_attach_show_flags(CLI::App& app, AttachShow& show);

attach::Manager make_manager(AttachWorld& world, const AttachShow& show);
// The exit status.
int show_report(const Result<attach::Report>& report, const AttachShow& show, bool dry_run);

}  // namespace nm::cmd
