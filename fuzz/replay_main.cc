// Feeds every file of a corpus to a target that the ordinary compiler built: what a fuzzer found once stays fixed.
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

bool read_file(const std::string& path, std::vector<uint8_t>* out) {
  FILE* file = fopen(path.c_str(), "rb");
  if (!file) return false;
  out->clear();
  uint8_t part[4096];
  for (size_t n; (n = fread(part, 1, sizeof part, file)) > 0;) out->insert(out->end(), part, part + n);
  const bool ok = !ferror(file);
  fclose(file);
  return ok;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  DIR* folder = opendir(argv[1]);
  if (!folder) {
    fprintf(stderr, "%s: %s.\n", argv[1], strerror(errno));
    return 2;
  }
  std::vector<std::string> names;
  while (dirent* entry = readdir(folder)) {
    if (entry->d_name[0] != '.') names.push_back(std::string(argv[1]) + "/" + entry->d_name);
  }
  closedir(folder);
  std::sort(names.begin(), names.end());
  if (names.empty()) {
    fprintf(stderr, "%s holds nothing to replay.\n", argv[1]);
    return 1;
  }
  // The client says on stderr how it lost each of these servers, and on stdout what they say a kernel printed. A crash
  // names its input with the last line here.
  const int say = dup(STDERR_FILENO);
  if (!freopen("/dev/null", "w", stderr) || !freopen("/dev/null", "w", stdout)) return 2;
  std::vector<uint8_t> bytes;
  for (const std::string& name : names) {
    dprintf(say, "%s\n", name.c_str());
    if (!read_file(name, &bytes)) {
      dprintf(say, "cannot be read: %s.\n", strerror(errno));
      return 2;
    }
    // A copy of its own size, so that a checked build sees who reads beyond it.
    std::vector<uint8_t> input(bytes);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  dprintf(say, "%zu inputs.\n", names.size());
  return 0;
}
