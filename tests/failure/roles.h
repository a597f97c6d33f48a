// What the programs in these tests do. Each prints one line per step and returns its exit status.
#pragma once

#include <string>
#include <vector>

struct Role {
  const char* name;
  int (*run)();
};
const std::vector<Role>& room_roles();
const std::vector<Role>& capture_roles();

// 0 and true if `name` is a role.
bool run_role(const std::string& name, int* status);
