#include "base/paths.h"

#include <limits.h>
#include <unistd.h>

#include <string_view>

namespace nm {
namespace {

std::string parent(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool lies_in(std::string_view path, std::string_view dir) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return path == dir || (path.starts_with(dir) && path[dir.size()] == '/');
}

}  // namespace

Tree tree_of(const std::string& bin_dir) {
  const std::string client = parent(bin_dir) + "/lib/nearmetal";
  return {.bin = bin_dir, .client = client, .softgpu = client + "/softgpu"};
}

Tree own_tree() {
  char path[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  std::string exe(path, size > 0 ? static_cast<size_t>(size) : 0);
  // What the kernel appends when the file was replaced, by an upgrade say, while we run.
  constexpr std::string_view deleted = " (deleted)";
  if (exe.ends_with(deleted)) exe.resize(exe.size() - deleted.size());
  return tree_of(parent(exe));
}

std::string without_dir(const std::string& search, const std::string& dir) {
  std::string kept;
  size_t start = 0;
  while (start <= search.size()) {
    auto end = search.find(':', start);
    if (end == std::string::npos) end = search.size();
    const std::string entry = search.substr(start, end - start);
    if (!entry.empty() && !lies_in(entry, dir)) kept += (kept.empty() ? "" : ":") + entry;
    start = end + 1;
  }
  return kept;
}

}  // namespace nm
