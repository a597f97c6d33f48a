#include "server/daemon_env.h"

#include <gtest/gtest.h>

namespace nm::server {
namespace {

using List = std::vector<std::string>;
const Tree kTree = tree_of("/opt/nm/bin");

TEST(WorkerEnv, SpellingOutTheDefaultKeepsTheWarmWorker) {
  const WorkerEnv env({"PATH=/bin"}, kTree);
  EXPECT_EQ(env.significant({"CUDA_MODULE_LOADING=LAZY", "CUDA_DEVICE_ORDER=FASTEST_FIRST"}), List{});
  EXPECT_EQ(env.significant({"CUDA_MODULE_LOADING=EAGER"}), List{"CUDA_MODULE_LOADING=EAGER"});
}

TEST(WorkerEnv, TheDaemonsOwnSettingIsTheDefaultWhereItHasOne) {
  const WorkerEnv env({"CUDA_MODULE_LOADING=EAGER"}, kTree);
  EXPECT_EQ(env.significant({"CUDA_MODULE_LOADING=EAGER"}), List{});
  EXPECT_EQ(env.significant({"CUDA_MODULE_LOADING=LAZY"}), List{"CUDA_MODULE_LOADING=LAZY"});
}

TEST(WorkerEnv, OrderOfEntriesDoesNotMatter) {
  const WorkerEnv env({}, kTree);
  EXPECT_EQ(env.significant({"CUDA_LAUNCH_BLOCKING=1", "CUDA_CACHE_DISABLE=1"}),
            env.significant({"CUDA_CACHE_DISABLE=1", "CUDA_LAUNCH_BLOCKING=1"}));
}

TEST(WorkerEnv, AnEmptyChoiceOfDevicesIsAChoice) {
  EXPECT_EQ(WorkerEnv({}, kTree).significant({"CUDA_VISIBLE_DEVICES="}), List{"CUDA_VISIBLE_DEVICES="});
}

TEST(WorkerEnv, AClientChoosesWithinTheServersDevices) {
  const WorkerEnv env({"CUDA_VISIBLE_DEVICES=2,3"}, kTree);
  EXPECT_EQ(env.significant({"CUDA_VISIBLE_DEVICES=1"}), List{"CUDA_VISIBLE_DEVICES=3"});
  EXPECT_EQ(env.significant({"CUDA_VISIBLE_DEVICES=5"}), List{"CUDA_VISIBLE_DEVICES="});
  EXPECT_EQ(env.significant({"CUDA_DEVICE_ORDER=PCI_BUS_ID"}), List{});
}

TEST(WorkerEnv, VisibleDevicesEndAtTheFirstEntryThatNamesNothing) {
  EXPECT_EQ(visible_devices_within("4,5,6", "2,0"), "6,4");
  EXPECT_EQ(visible_devices_within("4,5,6", "1,9,0"), "5");
  EXPECT_EQ(visible_devices_within("4,5,6", "-1"), "");
  EXPECT_EQ(visible_devices_within("GPU-aaaa,GPU-bbbb", "GPU-bb"), "GPU-bbbb");
  EXPECT_EQ(visible_devices_within("0,1", "GPU-cccc"), "");
}

TEST(WorkerEnv, WorkersDoNotLoadOurClientLibrary) {
  const WorkerEnv env({"LD_PRELOAD=/opt/nm/lib/nearmetal/libcuda.so.1", "LD_LIBRARY_PATH=/opt/nm/lib/nearmetal:/usr/x"},
                      kTree);
  EXPECT_EQ(env.own(), List{"LD_LIBRARY_PATH=/usr/x"});
}

}  // namespace
}  // namespace nm::server
