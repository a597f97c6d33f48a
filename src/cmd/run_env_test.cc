#include "cmd/run_env.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace nm::cmd {
namespace {

class RunEnv : public testing::Test {
 protected:
  RunEnv() {
    char dir[] = "/tmp/nm-run-env-XXXXXX";
    root_ = ::mkdtemp(dir);
    make_libraries(root_);
  }
  ~RunEnv() override { std::filesystem::remove_all(root_); }

  static void make_libraries(const std::string& root) {
    std::filesystem::create_directories(root + "/lib/nearmetal");
    for (const char* name : {"libcuda.so.1", "libnvidia-ml.so.1"}) std::ofstream(root + "/lib/nearmetal/" + name) << "";
  }
  std::string value(const std::vector<std::string>& own, const std::string& name, const std::string& gpus = "") {
    const auto env = run_environment(own, tree_of(root_ + "/bin"), server_, gpus);
    EXPECT_TRUE(env) << env.error().message;
    if (!env) return "";
    EXPECT_LE(std::count_if(env->begin(), env->end(), [&](auto& e) { return e.starts_with(name + "="); }), 1);
    for (const std::string& entry : *env) {
      if (entry.starts_with(name + "=")) return entry.substr(name.size() + 1);
    }
    return "(unset)";
  }

  std::string root_;
  wire::Address server_ = {.path = "/run/s"};
};

TEST_F(RunEnv, PutsOursInFrontOfWhatWasThere) {
  const std::string lib = root_ + "/lib/nearmetal";
  const std::string both = lib + "/libcuda.so.1:" + lib + "/libnvidia-ml.so.1";
  EXPECT_EQ(value({}, "LD_LIBRARY_PATH"), lib);
  EXPECT_EQ(value({"LD_LIBRARY_PATH=/a:/b"}, "LD_LIBRARY_PATH"), lib + ":/a:/b");
  EXPECT_EQ(value({}, "LD_PRELOAD"), both);
  EXPECT_EQ(value({"LD_PRELOAD=libjemalloc.so.2"}, "LD_PRELOAD"), both + ":libjemalloc.so.2");
}

TEST_F(RunEnv, RunWithinRunDoesNotDoubleAnything) {
  const auto once = run_environment({"LD_PRELOAD=/x.so"}, tree_of(root_ + "/bin"), server_, "");
  ASSERT_TRUE(once);
  auto twice = run_environment(*once, tree_of(root_ + "/bin"), server_, "");
  ASSERT_TRUE(twice);
  auto a = *once, b = *twice;
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  EXPECT_EQ(a, b);
}

TEST_F(RunEnv, TellsTheServerAndTheChoiceOfGpus) {
  EXPECT_EQ(value({"NEARMETAL_SERVER=unix:/other"}, "NEARMETAL_SERVER"), "unix:/run/s");
  EXPECT_EQ(value({}, "CUDA_VISIBLE_DEVICES"), "(unset)");
  EXPECT_EQ(value({"CUDA_VISIBLE_DEVICES=7"}, "CUDA_VISIBLE_DEVICES"), "7");
  EXPECT_EQ(value({"CUDA_VISIBLE_DEVICES=7"}, "CUDA_VISIBLE_DEVICES", "0,2"), "0,2");
}

TEST_F(RunEnv, TellsTritonWhereTheDriverIs) {
  EXPECT_EQ(value({"TRITON_LIBCUDA_PATH=/usr/lib"}, "TRITON_LIBCUDA_PATH"), root_ + "/lib/nearmetal");
}

TEST_F(RunEnv, AddressSanitizerAcceptsThePreloadUnlessTheUserSaidOtherwise) {
  EXPECT_EQ(value({"ASAN_OPTIONS=detect_leaks=0"}, "ASAN_OPTIONS"), "detect_leaks=0:verify_asan_link_order=0");
  EXPECT_EQ(value({"ASAN_OPTIONS=verify_asan_link_order=1"}, "ASAN_OPTIONS"), "verify_asan_link_order=1");
}

TEST_F(RunEnv, MissingLibrariesAreNamed) {
  const auto env = run_environment({}, tree_of("/nonexistent/bin"), server_, "");
  ASSERT_FALSE(env);
  EXPECT_NE(env.error().message.find("/nonexistent/lib/nearmetal/libcuda.so.1 is missing"), std::string::npos);
}

TEST_F(RunEnv, APathThatTheLinkerCannotNameIsRefused) {
  for (const char* name : {"/with space", "/with:colon", "/with;semicolon", "/with$dollar"}) {
    make_libraries(root_ + name);
    const auto env = run_environment({}, tree_of(root_ + name + "/bin"), server_, "");
    ASSERT_FALSE(env) << name;
    EXPECT_NE(env.error().message.find("without spaces"), std::string::npos);
  }
}

}  // namespace
}  // namespace nm::cmd
