// Can this host hand a GPU to a virtual machine? One small function for each question; each finding names its object,
// says why it matters, and carries the exact cure. Looks and changes nothing.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "inventory/inventory.h"
#include "inventory/reader.h"

namespace nm::inventory {

enum class Level { ok, warn, fail };
std::string_view word(Level level);

// A line for a file, a command, or a sentence where a hand is needed; what does not apply is empty.
struct Fix {
  std::string file, line;
  std::string command;
  std::string advice;
};

struct Finding {
  Level level = Level::ok;
  std::string check;   // "iommu": stable, for programs
  std::string object;  // "0000:01:00.0", "/dev/kvm"
  std::string found;   // a sentence
  std::string why;     // a sentence; empty where all is well
  std::vector<Fix> fixes;
  std::optional<PciAddress> gpu;  // it concerns this one alone
};

struct Diagnosis {
  std::vector<Finding> findings;
  size_t gpus = 0, gpus_ready = 0;
  // Nothing that concerns the whole host has failed, nor anything about at least one GPU.
  bool ready() const { return gpus_ready > 0; }
};

Diagnosis diagnose(const Host& host, const Inventory& inventory);

// --- what the checks stand on

enum class Family { debian, redhat, suse, arch, other };

// What several checks ask, read once.
class Patient {
 public:
  Patient(const Host& host, const Inventory& inventory);

  bool parameter(std::string_view word) const;                         // on the kernel's command line, as it is
  std::vector<std::string> parameters(std::string_view prefix) const;  // those that begin so
  bool module_loaded(const std::string& name) const;                   // or built in; "vfio_pci"
  bool module_exists(const std::string& name) const;
  std::string find_program(const std::string& name) const;  // in PATH; empty: not there

  // How these words get onto the kernel's command line here, with the file's whole new line where it can be known.
  std::vector<Fix> add_parameters(const std::vector<std::string>& words);
  std::string install_command(const std::string& debian, const std::string& redhat) const;
  std::string initramfs_command() const;

  const Host& host;
  const Inventory& inventory;
  Reader reader;
  enum class Processor { intel, amd, arm, other } processor = Processor::other;
  std::set<std::string> cpu_flags;
  int physical_bits = 0;  // of addresses; 0: not known
  Family family = Family::other;
  std::vector<Finding> findings;

 private:
  std::set<std::string> command_line_;
  std::string builtin_, available_;  // modules.builtin, modules.dep
};

// doctor_processor.cc
void check_virtualization(Patient& patient);
void check_kvm(Patient& patient);
void check_iommu(Patient& patient);
void check_interrupts(Patient& patient);
void check_parameters(Patient& patient);
void check_nested(Patient& patient);
// doctor_gpu.cc
void check_gpus(Patient& patient);
void check_groups(Patient& patient);
void check_displays(Patient& patient);
void check_drivers(Patient& patient);
void check_bars(Patient& patient);
void check_numa(Patient& patient);
// doctor_host.cc
void check_modules(Patient& patient);
void check_hugepages(Patient& patient);
void check_memlock(Patient& patient);
void check_hypervisors(Patient& patient);
void check_labels(Patient& patient);

}  // namespace nm::inventory
