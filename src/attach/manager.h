// The verbs: attach, move, detach, release, recover. Each takes its locks, looks at the host under them, plans, and has
// the Executor do it. With `dry_run` nothing is locked or changed, and the plan is what comes back.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "attach/backend.h"
#include "attach/lock.h"
#include "attach/plan.h"
#include "attach/store.h"
#include "attach/vfio.h"

namespace nm::attach {

struct Request {
  std::string gpu;    // as the user names it
  std::string guest;  // attach: into which
  std::string from;   // attach: out of which; empty: it must be in none, unless `move`
  bool move = false;
  bool persistent = false;
  bool release = false;  // detach: and give it back to the host
  bool force = false;    // release: whatever a reset says
  bool dry_run = false;
  Wish wish;
};

struct Report {
  PciAddress gpu;
  std::string sentence;             // "0000:65:00.0 is attached to VM train1."
  std::vector<std::string> notes;   // sentences
  std::vector<std::string> script;  // the plan, as commands
  std::optional<Attachment> now;
};

// What recover() did about one GPU.
struct Recovery {
  PciAddress gpu;
  bool good = false;
  std::string sentence;
};

class Manager {
 public:
  struct Hooks {
    Watcher watcher;
    std::function<void(const std::string&)> say;  // while it waits: a sentence
  };

  Manager(Context context, std::string directory, std::vector<Backend*> backends, Hooks hooks = {})
      : context_(context), directory_(std::move(directory)), backends_(std::move(backends)), hooks_(std::move(hooks)) {}

  Result<Report> attach(const Request& request);
  Result<Report> detach(const Request& request);
  Result<Report> release(const Request& request);
  // Everything that is unfinished, and every attachment that is not there any more. The error: nothing could be looked
  // at.
  Result<std::vector<Recovery>> recover();

 private:
  // All that a verb decides before it acts.
  struct Prepared {
    Operation operation;
    Plan plan;
    std::string sentence;  // when done
  };
  // What is true at one moment, under locks if anything will be done about it.
  struct Sight {
    inventory::Inventory inventory;
    const inventory::Gpu* gpu;
    std::optional<Attachment> attachment;  // with its guest, only if the guest still has it
  };

  Result<Sight> look(Store& store, const PciAddress& gpu);
  Result<Prepared> prepare_attach(Store& store, const Request& request, const PciAddress& gpu, const Guest& guest);
  Result<Prepared> prepare_detach(Store& store, const PciAddress& gpu);
  Result<Prepared> prepare_release(Store& store, const PciAddress& gpu, bool force);
  using Prepare = std::function<Result<Prepared>(Store&)>;
  // Locks, prepares, applies; or only prepares.
  Result<Report> act(const PciAddress& gpu, std::vector<std::string> locks, std::string_view verb, bool dry_run,
                     const Prepare& prepare);
  Result<PciAddress> address_of(const std::string& text);
  std::vector<std::string> locks_of(const PciAddress& gpu) const;
  Result<std::vector<std::string>> locks_with_guest(const PciAddress& gpu, bool dry_run);
  void quarantine_if_lost(Store& store, const PciAddress& gpu, std::string& sentence);
  Recovery recover_operation(Store& store, Operation& operation);
  std::optional<Recovery> recover_attachment(Store& store, const Attachment& attachment);

  Context context_;
  std::string directory_;
  std::vector<Backend*> backends_;
  Hooks hooks_;
};

}  // namespace nm::attach
