#include "base/paths.h"

#include <gtest/gtest.h>

namespace nm {
namespace {

TEST(Paths, TreeIsRelativeToTheProgram) {
  const Tree tree = tree_of("/opt/nearmetal/bin");
  EXPECT_EQ(tree.client, "/opt/nearmetal/lib/nearmetal");
  EXPECT_EQ(tree.softgpu, "/opt/nearmetal/lib/nearmetal/softgpu");
}

TEST(Paths, WithoutDirRemovesTheDirectoryAndWhatIsBelowIt) {
  EXPECT_EQ(without_dir("/a:/x/lib/nearmetal:/b", "/x/lib/nearmetal"), "/a:/b");
  EXPECT_EQ(without_dir("/x/lib/nearmetal/libcuda.so.1:/p.so", "/x/lib/nearmetal"), "/p.so");
  EXPECT_EQ(without_dir("/x/lib/nearmetal/", "/x/lib/nearmetal"), "");
}

TEST(Paths, WithoutDirKeepsNeighboursWithTheSamePrefix) {
  EXPECT_EQ(without_dir("/x/lib/nearmetal-old:/x/lib", "/x/lib/nearmetal"), "/x/lib/nearmetal-old:/x/lib");
}

}  // namespace
}  // namespace nm
