// What the built library promises about itself: names, dependencies, nothing at load.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>

#include "softgpu/identity.h"

namespace {

std::set<std::string> lines_of(const std::string& command) {
  std::set<std::string> lines;
  std::FILE* pipe = popen(command.c_str(), "r");
  char line[512];
  while (pipe && std::fgets(line, sizeof line, pipe)) {
    std::string text(line);
    text.erase(text.find_last_not_of("\n") + 1);
    lines.insert(text);
  }
  if (pipe) pclose(pipe);
  return lines;
}

TEST(Library, ExportsExactlyTheTable) {
  std::set<std::string> wanted;
  std::ifstream map(NM_EXPORTS_MAP);
  for (std::string word; map >> word;) {
    if (word.back() == ';' && word != "*;" && word != "};") wanted.insert(word.substr(0, word.size() - 1));
  }
  EXPECT_EQ(682u, wanted.size());
  EXPECT_EQ(wanted, lines_of("nm -D --defined-only " NM_LIBRARY " | awk '{print $3}'"));
}

// Which functions of newer C libraries may be needed all the same. With glibc 2.38 or later, the headers turn strtoul
// into this one for whoever was compiled against them: Ubuntu 24.04's libstdc++.a was, and brings it into a library
// whose own sources never call it. What is built there does not run on older systems anyway. Where glibc is older,
// nothing may need it.
#if __GLIBC_PREREQ(2, 38)
constexpr char kExempt[] = "__isoc23_strtoul$";
#else
constexpr char kExempt[] = "$^";  // nothing
#endif

TEST(Library, NeedsOnlyTheCLibraryAndNoneNewerThan236) {
  for (const auto& name : lines_of("objdump -p " NM_LIBRARY " | awk '$1 == \"NEEDED\" {print $2}'")) {
    EXPECT_TRUE(name == "libc.so.6" || name == "libm.so.6" || name.rfind("ld-linux", 0) == 0) << name;
  }
  const std::string others = std::string("objdump -T " NM_LIBRARY " | grep -v '") + kExempt + "'";
  const auto versions = lines_of(others + " | grep -o 'GLIBC_2[.0-9]*' | sort -u");
  EXPECT_FALSE(versions.empty());
  for (const auto& version : versions) {
    EXPECT_LE(std::stoi(version.substr(8)), 36) << version;
  }
}

TEST(Library, LoadingStartsNothing) {
  const auto threads = [] { return lines_of("ls /proc/" + std::to_string(getpid()) + "/task").size(); };
  const size_t before = threads();
  void* library = dlopen(NM_LIBRARY, RTLD_NOW);
  ASSERT_NE(nullptr, library) << dlerror();
  EXPECT_EQ(before, threads());
  auto* count = reinterpret_cast<int (*)(int*)>(dlsym(library, "cuDeviceGetCount"));
  int n = 0;
  EXPECT_EQ(3, count(&n));
}

// In a child of its own, with its own environment.
int device_count(const char* variable, const char* value, const char* more = "", const char* more_value = "") {
  const pid_t child = fork();
  if (child == 0) {
    setenv(variable, value, 1);
    if (*more) setenv(more, more_value, 1);
    void* library = dlopen(NM_LIBRARY, RTLD_NOW);
    auto* init = reinterpret_cast<int (*)(unsigned)>(dlsym(library, "cuInit"));
    auto* count = reinterpret_cast<int (*)(int*)>(dlsym(library, "cuDeviceGetCount"));
    int n = 0;
    if (const int error = init(0)) _exit(error);
    count(&n);
    _exit(n);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

TEST(Library, DevicesFollowTheEnvironment) {
  EXPECT_EQ(3, device_count("NEARMETAL_SOFTGPU_DEVICES", "3"));
  EXPECT_EQ(2, device_count("NEARMETAL_SOFTGPU_DEVICES", "3", "CUDA_VISIBLE_DEVICES", "2,0"));
  EXPECT_EQ(1, device_count("NEARMETAL_SOFTGPU_DEVICES", "3", "CUDA_VISIBLE_DEVICES", "1,9,0"));
  EXPECT_EQ(100, device_count("NEARMETAL_SOFTGPU_DEVICES", "3", "CUDA_VISIBLE_DEVICES", ""));
  EXPECT_EQ(100, device_count("NEARMETAL_SOFTGPU_DEVICES", "3", "CUDA_VISIBLE_DEVICES", "1,1"));
  EXPECT_EQ(3, device_count("NEARMETAL_SOFTGPU_DEVICES", "3", "CUDA_VISIBLE_DEVICES", "0,1,2"));
}

TEST(Library, DevicesAreNamedByUuidToo) {
  const auto all = nm::softgpu::all_devices();
  ASSERT_FALSE(all.empty());
  const std::string whole = all[0].uuid_text();
  EXPECT_EQ(1, device_count("NEARMETAL_SOFTGPU_DEVICES", "3", "CUDA_VISIBLE_DEVICES", whole.c_str()));
  EXPECT_EQ(1, device_count("NEARMETAL_SOFTGPU_DEVICES", "3", "CUDA_VISIBLE_DEVICES", whole.substr(0, 16).c_str()));
  EXPECT_EQ(100, device_count("NEARMETAL_SOFTGPU_DEVICES", "3", "CUDA_VISIBLE_DEVICES", "GPU-none"));
}

TEST(Library, TellsARuntimeOnceThatItCarriesNone) {
  void* library = dlopen(NM_LIBRARY, RTLD_NOW);
  auto* table = reinterpret_cast<int (*)(const void**, const unsigned char*)>(dlsym(library, "cuGetExportTable"));
  const unsigned char runtime[16] = {0x6b, 0xd5, 0xfb, 0x6c, 0x5b, 0xf4, 0xe7, 0x4a,
                                     0x89, 0x87, 0xd9, 0x39, 0x12, 0xfd, 0x9d, 0xf9};
  const void* found = &found;
  unsetenv("NEARMETAL_QUIET");
  testing::internal::CaptureStderr();
  EXPECT_EQ(1, table(&found, runtime));
  EXPECT_EQ(1, table(&found, runtime));
  const std::string told = testing::internal::GetCapturedStderr();
  EXPECT_EQ(nullptr, found);
  const size_t first = told.find("software GPU");
  EXPECT_NE(std::string::npos, first);
  EXPECT_EQ(std::string::npos, told.find("software GPU", first + 1));
}

}  // namespace
