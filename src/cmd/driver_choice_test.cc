// Drivers are tried by the real nearmetald, in a process of its own; "auto" finds the fake one by LD_LIBRARY_PATH.
#include "cmd/driver_choice.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace nm::cmd {
namespace {

namespace fs = std::filesystem;

class DriverChoice : public testing::Test {
 protected:
  DriverChoice() {
    char dir[] = "/tmp/nm-driver-XXXXXX";
    root_ = ::mkdtemp(dir);
    tree_ = tree_of(root_ + "/bin");
    fs::create_directories(tree_.softgpu);
    fs::create_directories(tree_.bin);
    fs::create_symlink(NM_NEARMETALD, tree_.bin + "/nearmetald");
    for (const char* name : {"/libcuda.so.1", "/libnvidia-ml.so.1"}) {
      std::ofstream(tree_.softgpu + name) << "";
      std::ofstream(tree_.client + name) << "";
    }
    genuine_ = root_ + "/genuine/libcuda.so.1";
    fs::create_directories(root_ + "/genuine");
    fs::copy_file(NM_FAKE_DRIVER, genuine_);
  }
  ~DriverChoice() override { fs::remove_all(root_); }

  std::string complaint(const std::string& driver, const std::string& nvml = "") {
    const auto drivers = choose_drivers(driver, nvml, tree_);
    return drivers ? "chosen" : drivers.error().message;
  }

  std::string root_, genuine_;
  Tree tree_;
};

TEST_F(DriverChoice, SoftIsTheOneOfOurOwnTree) {
  const auto drivers = choose_drivers("soft", "", tree_);
  ASSERT_TRUE(drivers) << drivers.error().message;
  EXPECT_EQ(drivers->cuda, tree_.softgpu + "/libcuda.so.1");
  EXPECT_EQ(drivers->nvml, tree_.softgpu + "/libnvidia-ml.so.1");
}

TEST_F(DriverChoice, APathBringsTheNvmlThatLiesBesideIt) {
  EXPECT_EQ(choose_drivers(genuine_, "", tree_)->nvml, "");
  std::ofstream(root_ + "/genuine/libnvidia-ml.so.1") << "";
  EXPECT_EQ(choose_drivers(genuine_, "", tree_)->nvml, root_ + "/genuine/libnvidia-ml.so.1");
  EXPECT_EQ(choose_drivers(genuine_, tree_.softgpu + "/libnvidia-ml.so.1", tree_)->nvml,
            tree_.softgpu + "/libnvidia-ml.so.1");
}

TEST_F(DriverChoice, WhatIsNotThereIsNamed) {
  EXPECT_NE(complaint("/nonexistent/libcuda.so.1").find("/nonexistent/libcuda.so.1: No such file"), std::string::npos);
  EXPECT_NE(complaint("soft", "/nonexistent/ml").find("--nvml /nonexistent/ml: No such file"), std::string::npos);
  fs::remove_all(tree_.softgpu);
  EXPECT_NE(complaint("soft").find("software GPU is missing"), std::string::npos);
}

TEST_F(DriverChoice, APathThatIsNoDriverIsRefusedWithTheReason) {
  EXPECT_NE(complaint(root_).find("--driver " + root_ + " cannot be served: "), std::string::npos);
  std::ofstream(root_ + "/text") << "not a library";
  EXPECT_NE(complaint(root_ + "/text").find("file too short"), std::string::npos);
  EXPECT_NE(complaint(NM_OTHER_LIBRARY).find("is not a CUDA driver. Give the path of a libcuda.so.1"),
            std::string::npos);
}

TEST_F(DriverChoice, ADriverThatCannotStartNowIsServedAllTheSame) {
  ::setenv("FAKE_DRIVER_DEVICES", "crash", 1);
  EXPECT_EQ(complaint(genuine_), "chosen");
  ::unsetenv("FAKE_DRIVER_DEVICES");
}

TEST_F(DriverChoice, AutoServesTheDriverThatAnswersAndElseTheSoftwareGpu) {
  ::setenv("LD_LIBRARY_PATH", (root_ + "/genuine").c_str(), 1);
  ::setenv("FAKE_DRIVER_DEVICES", "1", 1);
  EXPECT_EQ(choose_drivers("auto", "", tree_)->cuda, genuine_);
  ::setenv("FAKE_DRIVER_DEVICES", "0", 1);
  const auto drivers = choose_drivers("auto", "", tree_);
  EXPECT_EQ(drivers->cuda, tree_.softgpu + "/libcuda.so.1");
  EXPECT_NE(drivers->because.find(genuine_ + " has no device"), std::string::npos) << drivers->because;
  ::unsetenv("FAKE_DRIVER_DEVICES");
  ::unsetenv("LD_LIBRARY_PATH");
}

TEST_F(DriverChoice, OurOwnClientLibraryIsRefused) {
  EXPECT_NE(complaint(tree_.client + "/libcuda.so.1").find("cannot serve itself"), std::string::npos);
  fs::create_symlink(tree_.client + "/libcuda.so.1", root_ + "/link.so.1");
  EXPECT_NE(complaint(root_ + "/link.so.1").find("cannot serve itself"), std::string::npos);
}

// What `nearmetald --probe-driver libcuda.so.1` prints with the fake driver in front.
std::string probe(const std::string& dir, const std::string& settings) {
  const std::string command =
      "LD_LIBRARY_PATH=" + dir + " " + settings + " " + NM_NEARMETALD + " --probe-driver libcuda.so.1 2>/dev/null";
  FILE* pipe = ::popen(command.c_str(), "r");
  char text[512] = {};
  const size_t got = ::fread(text, 1, sizeof text - 1, pipe);
  ::pclose(pipe);
  return std::string(text, got);
}

TEST_F(DriverChoice, TheProbeSaysWhatItFound) {
  const std::string dir = root_ + "/genuine";
  EXPECT_EQ(probe(dir, "FAKE_DRIVER_DEVICES=2"), "nearmetal-probe 0 2 " + genuine_ + "\n");
  EXPECT_EQ(probe(dir, "FAKE_DRIVER_INIT=999"), "nearmetal-probe 999 0 " + genuine_ + "\n");
  EXPECT_EQ(probe(dir, "FAKE_DRIVER_DEVICES=crash"), "");
  std::ofstream(genuine_) << "not a library";
  EXPECT_EQ(probe(dir, "").find("nearmetal-probe -1 0 "), 0u);
}

}  // namespace
}  // namespace nm::cmd
