// nearmetal vm run: a guest as it should be for its GPUs. The GPUs are taken from the host under the journal, QEMU runs
// as our child, and when it has ended they are the host's again. All that can be refused is refused before anything is
// touched.
#include <fmt/format.h>

#include <algorithm>

#include "attach/launch.h"
#include "attach/manager.h"
#include "cmd/vm.h"
#include "cmd/vm_process.h"
#include "guest/disk_file.h"
#include "guest/render.h"
#include "guest/run_place.h"

namespace nm::cmd {
namespace {

using inventory::PciAddress;

void note(const std::string& sentence) { fmt::print(stderr, "nearmetal: {}\n", sentence); }

// A GPU that is to go, and what of its card goes along.
struct Chosen {
  PciAddress address;
  std::vector<PciAddress> functions;
  std::vector<std::string> script;  // how it is taken from the host
};

struct Prepared {
  guest::HostTopology topology;
  guest::GuestShape shape;
  std::vector<Chosen> gpus;
};

// What an earlier `nearmetal attach` has taken and a guest has left is taken already.
Result<Chosen> choose(const inventory::Host& host, const inventory::Inventory& inventory, const std::string& name,
                      const VmOptions& options) {
  const auto gpu = attach::choose_gpu(host, inventory, name);
  if (!gpu) return gpu.error();
  Chosen chosen{.address = (*gpu)->function.address};
  if (options.root.empty()) {
    auto store = attach::Store::open_to_read(attach::state_directory());
    if (!store) return store.error();
    const auto attachment = store->attachment(chosen.address);
    if (!attachment) return attachment.error();
    if (*attachment && (*attachment)->backend.empty() && (*attachment)->boot == attach::boot_id(host)) {
      chosen.functions = (*attachment)->functions;
      return chosen;
    }
  }
  using inventory::Verdict;
  if ((*gpu)->readiness.verdict == Verdict::blocked || (*gpu)->readiness.verdict == Verdict::taken) {
    return Error{fmt::format("{} cannot go to a guest: {}. `nearmetal doctor` says more.", chosen.address.text(),
                             (*gpu)->readiness.text())};
  }
  const auto plan = attach::plan_for_guests(host, inventory, **gpu, options.attach);
  if (!plan) return plan.error();
  for (const inventory::PciFunction& function : plan->functions) chosen.functions.push_back(function.address);
  chosen.script = attach::script(plan->plan);
  return chosen;
}

Result<Prepared> prepare(const inventory::Host& host, const VmOptions& options) {
  Prepared prepared{.topology = guest::read_topology(host)};
  auto wish = vm_wish(options);
  if (!wish) return wish.error();
  if (prepared.topology.qemu.empty() && !options.print_xml) {
    return Error{
        "QEMU is not installed. On Debian and Ubuntu: apt install qemu-system-x86 ovmf; on Fedora: dnf install "
        "qemu-kvm "
        "edk2-ovmf."};
  }
  if (!options.disk.empty()) {
    auto disk = guest::look_at_disk(options.disk);
    if (!disk) return disk.error();
    wish->disk = std::move(*disk);
  }
  const inventory::Inventory inventory = inventory::take_inventory(host);
  std::vector<guest::PassedGpu> passed;
  for (const std::string& name : options.gpus) {
    auto chosen = choose(host, inventory, name, options);
    if (!chosen) return chosen.error();
    const auto same = [&](const Chosen& other) { return other.address == chosen->address; };
    if (std::any_of(prepared.gpus.begin(), prepared.gpus.end(), same)) {
      return Error{fmt::format("--gpu names {} twice.", chosen->address.text())};
    }
    for (const inventory::Gpu& gpu : inventory.gpus) {
      if (gpu.function.address == chosen->address) passed.push_back(guest::passed_gpu(host, gpu, chosen->functions));
    }
    prepared.gpus.push_back(std::move(*chosen));
  }
  auto shape = guest::shape_guest(inventory, passed, prepared.topology, *wish);
  if (!shape) return shape.error();
  prepared.shape = std::move(*shape);
  return prepared;
}

int print_xml(const Prepared& prepared) {
  const auto xml = guest::domain_xml(prepared.shape, prepared.topology.qemu);
  if (!xml) return fail(xml.error().message);
  for (const std::string& sentence : prepared.shape.notes) note(sentence);
  fmt::print("{}", *xml);
  return 0;
}

std::vector<std::string> with_pause(std::vector<std::string> line, bool paused) {
  if (paused) line.push_back("-S");
  return line;
}

void print_commands(const Prepared& prepared, const std::vector<std::string>& line, const guest::RunPaths& paths) {
  for (const std::string& sentence : prepared.shape.notes) fmt::print("# {}\n", sentence);
  for (const Chosen& gpu : prepared.gpus) {
    for (const std::string& command : gpu.script) fmt::print("{}\n", command);
  }
  if (prepared.shape.ovmf) {
    fmt::print("cp -n {} {}\n", attach::shell_word(prepared.shape.ovmf->variables),
               attach::shell_word(paths.variables));
  }
  std::vector<std::string> cpus;
  for (const int cpu : prepared.shape.other_cpus) cpus.push_back(std::to_string(cpu));
  fmt::print("taskset -c {} {}", fmt::join(cpus, ","), attach::shell_word(line[0]));
  for (size_t i = 1; i < line.size(); ++i) {
    fmt::print("{}{}", line[i].starts_with('-') ? " \\\n  " : " ", attach::shell_word(line[i]));
  }
  fmt::print("\n");
  for (size_t i = 0; i < prepared.shape.vcpus.size(); ++i) {
    fmt::print("# then the thread of virtual CPU {}, which query-cpus-fast tells: taskset -pc {} THREAD\n", i,
               prepared.shape.vcpus[i].host_cpu);
  }
}

// The GPUs, from the moment they are taken until they are given back.
class Taken {
 public:
  Taken(attach::System& system, attach::LaunchBackend& backend)
      : backend_(backend),
        manager_({.system = system}, attach::state_directory(), {&backend},
                 {.watcher = {}, .say = [](const std::string& sentence) { note(sentence); }}) {}

  Result<void> take(const Prepared& prepared, const VmOptions& options) {
    for (const Chosen& gpu : prepared.gpus) {
      auto report = manager_.attach({.gpu = gpu.address.text(), .guest = prepared.shape.name, .wish = options.attach});
      if (!report) return report.error();
      for (const std::string& sentence : report->notes) note(sentence);
      addresses_.push_back(gpu.address);
    }
    return {};
  }

  // What the user has meanwhile detached, or given to another guest, is not ours any more. False: something is left.
  bool give_back(const std::string& socket) {
    backend_.ended();
    bool all = true;
    for (const PciAddress& address : addresses_) {
      auto store = attach::Store::open_to_read(attach::state_directory());
      const auto attachment =
          store ? store->attachment(address) : Result<std::optional<attach::Attachment>>(store.error());
      if (attachment && (!*attachment || (*attachment)->guest_id != socket)) continue;
      const auto released =
          attachment ? manager_.release({.gpu = address.text()}) : Result<attach::Report>(attachment.error());
      if (released) continue;
      note(released.error().message);
      all = false;
    }
    return all;
  }

 private:
  attach::LaunchBackend& backend_;
  attach::Manager manager_;
  std::vector<PciAddress> addresses_;
};

std::map<PciAddress, std::string> device_ids(const guest::GuestShape& shape) {
  std::map<PciAddress, std::string> ids;
  for (const guest::RootPort& port : shape.ports) {
    for (const guest::PassedFunction& function : port.functions) {
      ids[function.host] = guest::device_id(port, function);
    }
  }
  return ids;
}

int run(const Prepared& prepared, const VmOptions& options, const std::string& directory, const std::string& keep) {
  const auto place = guest::RunPlace::take(directory, keep, prepared.shape.name);
  if (!place) return fail(place.error().message);
  if (prepared.shape.ovmf) {
    if (const auto copied = place->copy_variables(prepared.shape.ovmf->variables); !copied) {
      return fail(copied.error().message);
    }
  }
  for (const std::string& sentence : prepared.shape.notes) note(sentence);
  attach::RealSystem system;
  attach::LaunchBackend backend(guest::runs);
  backend.expect({.name = prepared.shape.name, .id = place->qmp(), .pid = ::getpid()}, device_ids(prepared.shape));
  Taken taken(system, backend);
  if (const auto good = taken.take(prepared, options); !good) {
    taken.give_back(place->qmp());
    return fail(good.error().message);
  }
  const std::vector<std::string> line = with_pause(
      guest::qemu_line(prepared.shape, prepared.topology.qemu, {.qmp = place->qmp(), .variables = place->variables()}),
      options.paused);
  const auto ended = run_qemu(line, prepared.shape, place->qmp(), [](const std::string& sentence) { note(sentence); });
  const bool back = taken.give_back(place->qmp());
  if (!ended) return fail(ended.error().message);
  if (!ended->clean()) {
    return fail(
        fmt::format("The QEMU of guest {} {}. What it said stands above.", prepared.shape.name, ended->describe()));
  }
  return back ? 0 : kFailed;
}

}  // namespace

int vm_run_verb(const Args& args) {
  VmOptions options;
  CLI::App app(
      "Starts a virtual machine with GPUs of this host, as near to the bare machine as it can be, and gives the GPUs "
      "back "
      "when it has ended. Its serial console is this terminal; Ctrl-A X ends it.",
      "nearmetal vm run");
  add_vm_run_flags(app, options);
  app.footer("Example:\n  nearmetal vm run --gpu 0 --gpu 1 --memory 64G disk.qcow2");
  if (const auto status = parse(app, args)) return *status;
  if (options.disk.empty() && !options.paused) {
    return fail("There is no disk to start from. Write nearmetal vm run [OPTIONS] DISK.", kUsage);
  }
  if (!options.root.empty() && !options.dry_run && !options.print_xml) {
    return fail("--root only looks: add --dry-run or --print-xml.", kUsage);
  }

  const inventory::DirectoryHost host(options.root);
  const auto prepared = prepare(host, options);
  if (!prepared) return fail(prepared.error().message);
  if (options.print_xml) return print_xml(*prepared);
  const std::string directory = options.directory.empty() ? guest::run_directory() : options.directory;
  const std::string keep = options.directory.empty() ? guest::keep_directory() : options.directory;
  if (options.dry_run) {
    const guest::RunPaths paths{.qmp = directory + "/" + prepared->shape.name + ".qmp",
                                .variables = keep + "/" + prepared->shape.name + ".fd"};
    print_commands(*prepared,
                   with_pause(guest::qemu_line(prepared->shape, prepared->topology.qemu, paths), options.paused),
                   paths);
    return 0;
  }
  return run(*prepared, options, directory, keep);
}

}  // namespace nm::cmd
