// A machine as its files: sysfs, procfs, /dev, a few programs. Everything that the inventory knows comes through here,
// so a test makes a machine out of a directory. Nothing here changes the machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nm::inventory {

struct Reading {
  std::string text;
  int error = 0;  // errno; then there is no text
  explicit operator bool() const { return error == 0; }
};

struct Listing {
  std::vector<std::string> names;  // sorted, without . and ..
  int error = 0;
};

// What the asking process itself is.
struct Self {
  bool root = false;
  std::string path;      // PATH
  uint64_t memlock = 0;  // RLIMIT_MEMLOCK, soft; ~0 is unlimited
};

class Host {
 public:
  virtual ~Host() = default;
  // Paths are absolute. At most `most` bytes of a regular file; what is no regular file is EINVAL, so that no pipe or
  // device can hold us up.
  virtual Reading read(const std::string& path, size_t most = 64 << 10) const = 0;
  virtual Reading link(const std::string& path) const = 0;  // where it points to, as it says
  virtual Listing list(const std::string& path) const = 0;
  virtual bool exists(const std::string& path) const = 0;
  virtual bool may_use(const std::string& path) const = 0;  // read and write it
  // The first line that a program prints within two seconds; empty: none.
  virtual std::string first_line_of(const std::vector<std::string>& argv) const = 0;
  virtual Self self() const = 0;
};

// The files below `root`; "" is this machine. Below another root no program is run.
class DirectoryHost : public Host {
 public:
  explicit DirectoryHost(std::string root = "") : root_(std::move(root)) {}

  Reading read(const std::string& path, size_t most) const override;
  Reading link(const std::string& path) const override;
  Listing list(const std::string& path) const override;
  bool exists(const std::string& path) const override;
  bool may_use(const std::string& path) const override;
  std::string first_line_of(const std::vector<std::string>& argv) const override;
  Self self() const override;

 private:
  std::string root_;
};

}  // namespace nm::inventory
