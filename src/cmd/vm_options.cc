#include <fmt/format.h>

#include <bit>

#include "base/number.h"
#include "cmd/vm.h"
#include "guest/run_place.h"
#include "inventory/reader.h"

namespace nm::cmd {
namespace {

constexpr size_t kLongestInterface = 15;  // the kernel's

Result<guest::Network> parse_network(const std::string& text) {
  using Kind = guest::Network::Kind;
  if (text == "none") return guest::Network{.kind = Kind::none};
  if (text == "user") return guest::Network{.kind = Kind::user};
  for (const auto& [prefix, kind] : {std::pair{"bridge:", Kind::bridge}, {"tap:", Kind::tap}}) {
    if (!text.starts_with(prefix)) continue;
    const std::string name = text.substr(std::string_view(prefix).size());
    const bool good = !name.empty() && name.size() <= kLongestInterface && name != "." && name != ".." &&
                      name.find_first_of("/ \t\n:") == name.npos;
    if (good) return guest::Network{.kind = kind, .name = name};
    return Error{fmt::format("--net {}: \"{}\" cannot be the name of a network interface. `ip link` lists them.",
                             inventory::clean(text, 60), inventory::clean(name, 60))};
  }
  return Error{
      fmt::format("--net is \"{}\"; it must be user, none, bridge:NAME or tap:NAME.", inventory::clean(text, 60))};
}

}  // namespace

void add_vm_run_flags(CLI::App& app, VmOptions& options) {
  app.add_option("--gpu", options.gpus,
                 "a GPU of this host: its number or address in `nearmetal gpus --local`, or its UUID; may be repeated")
      ->take_all()
      ->allow_extra_args(false)  // what follows it may be the disk
      ->type_name("GPU");
  app.add_option("--cpus", options.cpus, "virtual CPUs (else the GPUs' share of their NUMA node)")
      ->check(CLI::Range(1, 100'000))
      ->type_name("NUMBER");
  app.add_option("--memory", options.memory, "16G, 512M (else the GPUs' share of their NUMA node's)")
      ->type_name("SIZE");
  app.add_option("--name", options.name, "what the guest is called (else after its disk)")->type_name("NAME");
  app.add_option("--firmware", options.firmware, "auto (the default: OVMF where it is installed), ovmf or seabios")
      ->check(CLI::IsMember({"auto", "ovmf", "seabios"}))
      ->type_name("FIRMWARE");
  app.add_option("--hugepages", options.huge_pages, "auto (the default: where there are free ones), require or off")
      ->check(CLI::IsMember({"auto", "require", "off"}))
      ->type_name("WHEN");
  app.add_option("--accel", options.accel, "auto (the default: KVM where there is one), kvm or tcg")
      ->check(CLI::IsMember({"auto", "kvm", "tcg"}))
      ->type_name("ACCEL");
  app.add_option("--net", options.net, "user (the default), none, bridge:NAME or tap:NAME")->type_name("NET");
  app.add_option("--spare-ports", options.spare_ports, "root ports kept free for GPUs to be attached later (default 1)")
      ->check(CLI::Range(0, 64))
      ->type_name("NUMBER");
  app.add_flag("--hide-hypervisor", options.hide_hypervisor, "do not tell the guest that it runs on KVM");
  app.add_flag("--peer-to-peer", options.peer_to_peer,
               "tell NVIDIA's driver that GPUs of one NUMA node reach each other");
  app.add_flag("--with-companions", options.attach.companions, "take the card's other functions (audio, USB) along");
  app.add_flag("--stop-holders", options.attach.stop_holders, "stop who has a GPU open");
  app.add_flag("--take-display", options.attach.take_display, "even if a GPU is the host's display");
  app.add_flag("--paused", options.paused, "start with the CPUs stopped, until `cont` on the monitor (Ctrl-A C)");
  auto* xml = app.add_flag("--print-xml", options.print_xml, "print the guest as a libvirt domain and start nothing");
  app.add_flag("--dry-run", options.dry_run, "print the commands and run nothing")->excludes(xml);
  app.add_option("--root", options.root)->group("");
  app.add_option("--directory", options.directory)->group("");
  app.add_option("DISK", options.disk, "the guest's disk: a raw or qcow2 file, or a block device");
}

Result<uint64_t> parse_memory(const std::string& text) {
  std::string_view rest = text;
  uint64_t number = 0;
  int shift = -1;
  const bool digit = !rest.empty() && rest[0] >= '0' && rest[0] <= '9';
  if (digit && take_number(&rest, &number)) {
    if (rest.ends_with("iB")) rest.remove_suffix(2);
    if (rest == "M" || rest == "m") shift = 20;
    if (rest == "G" || rest == "g") shift = 30;
    if (rest == "T" || rest == "t") shift = 40;
  }
  if (shift < 0 || number == 0 || std::bit_width(number) + shift > 63) {
    return Error{fmt::format("--memory is \"{}\"; it must be a number with M, G or T behind it: 16G.",
                             inventory::clean(text, 40))};
  }
  return number << shift;
}

Result<guest::Wish> vm_wish(const VmOptions& options) {
  guest::Wish wish{.name = options.name.empty() ? guest::name_for(options.disk) : options.name,
                   .cpus = options.cpus,
                   .hide_hypervisor = options.hide_hypervisor,
                   .peer_to_peer = options.peer_to_peer,
                   .spare_ports = options.spare_ports};
  if (const auto good = guest::check_name(wish.name); !good) return good.error();
  if (!options.memory.empty()) {
    const auto memory = parse_memory(options.memory);
    if (!memory) return memory.error();
    wish.memory = *memory;
  }
  const auto network = parse_network(options.net);
  if (!network) return network.error();
  wish.network = *network;
  wish.accel = options.accel == "kvm"   ? guest::Accel::kvm
               : options.accel == "tcg" ? guest::Accel::tcg
                                        : guest::Accel::automatic;
  wish.firmware = options.firmware == "ovmf"      ? guest::Firmware::ovmf
                  : options.firmware == "seabios" ? guest::Firmware::seabios
                                                  : guest::Firmware::automatic;
  wish.huge_pages = options.huge_pages == "require" ? guest::HugePages::require
                    : options.huge_pages == "off"   ? guest::HugePages::off
                                                    : guest::HugePages::automatic;
  return wish;
}

}  // namespace nm::cmd
