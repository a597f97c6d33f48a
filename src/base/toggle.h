#pragma once
#include <cstdlib>
#include <cstring>
namespace nm {
inline bool toggled(char c) {
  static const char* const v = getenv("NM_T");
  return v && strchr(v, c);
}
}  // namespace nm
