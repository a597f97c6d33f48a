// What the verbs of `nearmetal vm` share.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attach/vfio.h"
#include "base/result.h"
#include "cmd/command_line.h"
#include "guest/shape.h"

namespace nm::cmd {

int vm_run_verb(const Args& args);

// The options of `vm run`, as they were typed.
struct VmOptions {
  std::vector<std::string> gpus;
  std::string disk, name, memory, accel = "auto", firmware = "auto", huge_pages = "auto", net = "user";
  std::optional<int> cpus;
  int spare_ports = 1;
  bool hide_hypervisor = false, peer_to_peer = false, paused = false;
  bool print_xml = false, dry_run = false;
  attach::Wish attach;          // what the user agrees to for taking the GPUs
  std::string root, directory;  // for tests: the host's files; where the run's files are
};
void add_vm_run_flags(CLI::App& app, VmOptions& options);

// All but the disk, which is looked at on the host.
Result<guest::Wish> vm_wish(const VmOptions& options);
// "16G", "512M", "1T", "16GiB": bytes.
Result<uint64_t> parse_memory(const std::string& text);

}  // namespace nm::cmd
