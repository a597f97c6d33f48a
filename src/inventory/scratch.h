// A directory for one test, gone after it.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "inventory/fake_host.h"
#include "inventory/inventory.h"

namespace nm::inventory {

class Scratch {
 public:
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "nm-host-XXXXXX").string();
    if (::mkdtemp(name.data())) path_ = name;
  }
  Scratch(const Scratch&) = delete;
  ~Scratch() {
    if (!path_.empty()) std::filesystem::remove_all(path_);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A machine of a shape, as a test sees it.
struct FakeMachine {
  explicit FakeMachine(const std::string& shape) : tree(scratch.path()), host(scratch.path()) {
    EXPECT_TRUE(make_fake_host(shape, tree)) << shape;
  }
  Inventory inventory() const { return take_inventory(host); }

  Scratch scratch;
  FakeHost tree;
  DirectoryHost host;
};

}  // namespace nm::inventory
