// What lies where in this process, as the kernel says (/proc/self/maps).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string_view>

namespace nm::client {

struct Area {
  uint64_t first = 0, end = 0;  // bytes
  bool readable = false, writable = false, executable = false;
  bool shared = false;  // MAP_SHARED
  uint64_t offset = 0;  // in its file
  dev_t device = 0;
  ino_t inode = 0;  // 0: it has no file
  std::string_view name;

  uint64_t size() const { return end - first; }
  int protection() const;
};

// In order of address, until `visit` returns false. False: the kernel did not say.
bool for_each_area(const std::function<bool(const Area&)>& visit);

// Parses one line; false if it is none. For tests.
bool parse_area(std::string_view line, Area* out);

}  // namespace nm::client
