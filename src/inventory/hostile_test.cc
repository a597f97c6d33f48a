// Files that say odd things: each is a sentence or nothing, never a crash, and the other GPUs are still told.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "inventory/reader.h"
#include "inventory/scratch.h"

namespace nm::inventory {
namespace {

bool any_says(const Inventory& inventory, const std::string& part) {
  return std::any_of(inventory.troubles.begin(), inventory.troubles.end(),
                     [&](const std::string& sentence) { return sentence.find(part) != std::string::npos; });
}

TEST(Hostile, EveryFileOfAGpuMayHoldAnything) {
  const std::string contents[] = {"",
                                  "\n",
                                  std::string(1 << 20, 'x'),
                                  std::string("\0\x1b[2J\xff\n", 8),
                                  "-1\n",
                                  "99999999999999999999999\n",
                                  "0x",
                                  std::string(3000, '\n')};
  FakeMachine machine("desktop");
  const auto directory = machine.tree.root() / machine.tree.directory_of("0000:01:00.0").substr(1);
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.is_regular_file()) files.push_back(entry.path().filename());
  }
  ASSERT_GT(files.size(), 12u);
  for (const std::string& file : files) {
    const std::string path = machine.tree.directory_of("0000:01:00.0") + file;
    const std::string good = machine.host.read(path, 1 << 20).text;
    for (const std::string& content : contents) {
      machine.tree.file(path, content);
      for (const std::string& sentence : machine.inventory().troubles) {
        EXPECT_EQ(sentence, clean(sentence, 10'000)) << file;  // nothing that a terminal would obey
        EXPECT_EQ(sentence.back(), '.') << file;
        EXPECT_LT(sentence.size(), 400u) << file;
      }
    }
    machine.tree.file(path, good);
  }
  EXPECT_TRUE(machine.inventory().troubles.empty());
}

TEST(Hostile, NumbersThatAreNoneAreNamedWithTheirFile) {
  FakeMachine machine("desktop");
  machine.tree.file(machine.tree.directory_of("0000:01:00.0") + "numa_node", "zero\n");
  machine.tree.file(machine.tree.directory_of("0000:01:00.1") + "class", "0x04030000000000\n");
  const Inventory inventory = machine.inventory();
  EXPECT_TRUE(any_says(inventory, "/sys/bus/pci/devices/0000:01:00.0/numa_node should be a number and is \"zero\"."));
  EXPECT_TRUE(any_says(inventory, "0000:01:00.1/class"));
  EXPECT_EQ(inventory.gpus.size(), 1u);
}

TEST(Hostile, LinksInCirclesAreASentence) {
  FakeMachine machine("desktop");
  const std::string at = machine.tree.directory_of("0000:01:00.0");
  machine.tree.link(at + "vendor", "vendor");
  machine.tree.link(at + "resource", "loop");
  machine.tree.link(at + "loop", "resource");
  const Inventory inventory = machine.inventory();
  EXPECT_TRUE(any_says(inventory, "/vendor cannot be read: Too many levels of symbolic links."));
  EXPECT_TRUE(any_says(inventory, "/resource cannot be read"));
  ASSERT_EQ(inventory.gpus.size(), 1u);
  EXPECT_TRUE(inventory.gpus[0].bars.empty());
}

TEST(Hostile, PipesAndDirectoriesInAFilesPlaceDoNotHoldUs) {
  FakeMachine machine("desktop");
  const std::string at = machine.tree.directory_of("0000:01:00.0");
  const std::string pipe = machine.scratch.path() + at + "reset_method";
  std::filesystem::remove(pipe);
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::filesystem::remove(machine.scratch.path() + at + "power_state");
  machine.tree.directory(at + "power_state");
  const Inventory inventory = machine.inventory();
  EXPECT_TRUE(any_says(inventory, "/reset_method cannot be read: Invalid argument."));
  EXPECT_TRUE(any_says(inventory, "/power_state cannot be read: Is a directory."));
}

TEST(Hostile, GroupsAndDriversThatPointNowhereMakeSense) {
  FakeMachine machine("desktop");
  const std::string at = machine.tree.directory_of("0000:01:00.0");
  machine.tree.link(at + "iommu_group", "../../kernel/iommu_groups/none");
  machine.tree.link(at + "driver", std::string(300, 'd'));
  machine.tree.link("/sys/bus/pci/devices/not-an-address", "../../../devices");
  const Inventory inventory = machine.inventory();
  EXPECT_TRUE(any_says(inventory, "should point to a numbered group and points to \"none\"."));
  EXPECT_TRUE(any_says(inventory, "\"not-an-address\", which is no PCI address."));
  EXPECT_FALSE(inventory.gpus.at(0).function.iommu_group);
}

// As another user's processes look without root. Root may read everything, so the refusal itself is made up here.
class Refusing : public DirectoryHost {
 public:
  using DirectoryHost::DirectoryHost;
  Listing list(const std::string& path) const override {
    if (path.starts_with("/proc/") && path.ends_with("/fd")) return {.error = EACCES};
    return DirectoryHost::list(path);
  }
  Reading read(const std::string& path, size_t most) const override {
    if (path.ends_with("/config")) return {.error = EACCES};
    return DirectoryHost::read(path, most);
  }
  Self self() const override { return {.root = false}; }
};

TEST(Hostile, WithoutRootWhatIsNotSeenIsSaid) {
  const FakeMachine machine("dgx");
  const Inventory inventory = take_inventory(Refusing(machine.scratch.path()));
  EXPECT_TRUE(inventory.troubles.empty());
  EXPECT_EQ(inventory.processes_unseen, 3u);
  ASSERT_EQ(inventory.root_would_add.size(), 1u);
  EXPECT_EQ(inventory.root_would_add[0], "which of 3 processes of other users hold a GPU");
  // Daemons that are known to hold all GPUs are named, and not taken for certain.
  ASSERT_EQ(inventory.gpus[5].holders.size(), 2u);
  EXPECT_FALSE(inventory.gpus[5].holders[0].certain);
  EXPECT_EQ(inventory.gpus[5].holders[0].text(), "nvidia-persistenced (pid 900, persistence daemon) perhaps");
}

TEST(Hostile, WithoutRootAGuestIsKnownByItsCommandLine) {
  const FakeMachine machine("a100-vfs");
  const Inventory inventory = take_inventory(Refusing(machine.scratch.path()));
  EXPECT_EQ(inventory.gpus.at(1).attached_to, "VM train1 (pid 77)");
  EXPECT_EQ(inventory.gpus.at(2).state, State::vfio);  // who has that one only root can see
}

}  // namespace
}  // namespace nm::inventory
