// Prints what a benchmark program prints (src/workload/output.md), without a GPU and in no time. The environment says
// what it pretends:
//   FAKE_OVERHEAD=0.05   5 % slower · FAKE_NOISE=0.001  with a spread of 0.1 %
//   FAKE_GPU, FAKE_UUID, FAKE_VERSION  another device, another suite · FAKE_THROTTLE=8  NVML's reasons
//   FAKE_FAULT=…         what goes wrong, see below · FAKE_ONCE=FILE  only in the run that first finds FILE missing
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmath>
#include <random>
#include <string>

namespace {

struct Fake {
  const char *name, *suite;
  int level;
  bool opencl;
};
constexpr Fake kFakes[] = {{"Alpha", "shoc", 0, true},
                           {"Beta", "shoc", 1, true},
                           {"Gamma", "shoc", 2, true},
                           {"Delta", "apps", -1, true},
                           {"Curve", "path", -1, false}};

std::string setting(const char* name, const char* otherwise = "") {
  const char* value = getenv(name);
  return value ? value : otherwise;
}

std::string fault() {
  const std::string once = setting("FAKE_ONCE");
  if (!once.empty()) {
    const int fd = open(once.c_str(), O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (fd < 0) return "";
    close(fd);
  }
  return setting("FAKE_FAULT");
}

int list() {
  for (const Fake& fake : kFakes) {
    printf("{\"program\":\"%s\",\"suite\":\"%s\",\"level\":%d,\"opencl\":%s,\"summary\":\"pretends\"}\n", fake.name,
           fake.suite, fake.level, fake.opencl ? "true" : "false");
  }
  return 0;
}

double disturbed(double value) {
  static std::mt19937_64 random(static_cast<uint64_t>(getpid()) * 2654435761u ^ std::random_device()());
  std::normal_distribution<double> noise(0, atof(setting("FAKE_NOISE", "0.0005").c_str()));
  return value * std::exp(noise(random));
}

void sample(const std::string& metric, const char* unit, bool higher, bool pcie, double value,
            const std::string& more = "") {
  const double overhead = 1 - atof(setting("FAKE_OVERHEAD", "0").c_str());
  const double base = disturbed(higher ? value * overhead : value / overhead);
  printf(
      "{\"line\":\"sample\",\"metric\":\"%s\",\"unit\":\"%s\",\"better\":\"%s\",\"pcie\":%s,\"values\":[%.9g,%.9g,%.9g]"
      "%s}\n",
      metric.c_str(), unit, higher ? "higher" : "lower", pcie ? "true" : "false", base * 0.999, base, base * 1.001,
      more.c_str());
}

int run(const Fake& fake, const std::string& api, const std::string& size) {
  const std::string wrong = fault();
  if (wrong == "text") return puts("Hello, I am no benchmark.") < 0;
  if (wrong == "binary") return fwrite("\0\xff\xfe\x80\n", 1, 5, stdout) != 5;
  if (wrong == "nothing") return 0;
  if (wrong == "refuses") return fputs("fake: no such thing\n", stderr), 2;
  if (wrong == "huge") {
    for (int i = 0; i < 6 << 20; ++i) putchar('x');
    return 0;
  }
  if (wrong == "deep") {
    for (int i = 0; i < 1'000'000; ++i) putchar('[');
    puts("");
    return 0;
  }
  if (wrong == "hang" || wrong == "stubborn") {
    if (wrong == "stubborn") signal(SIGTERM, SIG_IGN);
    if (fork() == 0) signal(SIGTERM, SIG_DFL);  // a child that would stay behind
    for (;;) pause();
  }
  const std::string program = wrong == "other_program" ? "Omega" : fake.name;
  printf(
      "{\"line\":\"begin\",\"workload\":1,\"suite_version\":\"%s\",\"program\":\"%s\",\"suite\":\"%s\",\"level\":%d,"
      "\"api\":\"%s\",\"size\":\"%s\",\"passes\":3,\"seed\":1}\n",
      wrong == "version" ? "0" : setting("FAKE_VERSION", "1").c_str(), program.c_str(), fake.suite, fake.level,
      api.c_str(), size.c_str());
  if (wrong == "unsupported") {
    puts("{\"line\":\"skip\",\"metric\":\"*\",\"why\":\"This device has no textures.\"}");
    return 77;
  }
  printf("{\"line\":\"device\",\"name\":\"%s\",\"uuid\":\"%s\",\"state\":{\"clocks_event_reasons\":%s}}\n",
         setting("FAKE_GPU", "Fake GPU").c_str(), wrong == "gpu" ? "GPU-2" : setting("FAKE_UUID", "GPU-1").c_str(),
         setting("FAKE_THROTTLE", "0").c_str());
  if (wrong == "crash") {
    fflush(stdout);
    fputs("fake: about to crash\n", stderr);
    signal(SIGABRT, SIG_DFL);
    abort();
  }
  if (std::string(fake.name) == "Curve") {
    for (int x = 1; x <= 64; x *= 4) {
      sample("h2d/" + std::to_string(x), "GB/s", true, true, 2.0 * x,
             ",\"series\":\"h2d\",\"x\":" + std::to_string(x) + ",\"x_unit\":\"B\"");
    }
  } else {
    sample("rate", "GFLOPS", true, false, 100);
    sample("time", "us", false, false, 7);
    sample("rate_pcie", "GB/s", true, true, 12);
  }
  if (wrong == "nan")
    puts("{\"line\":\"sample\",\"metric\":\"n\",\"unit\":\"s\",\"better\":\"lower\",\"values\":[NaN]}");
  if (wrong == "infinite")
    puts("{\"line\":\"sample\",\"metric\":\"n\",\"unit\":\"s\",\"better\":\"lower\",\"values\":[1e999]}");
  if (wrong == "kind") puts("{\"line\":\"surprise\"}");
  if (wrong == "twice") sample("rate", "GFLOPS", true, false, 100);
  if (wrong == "device") {
    puts("{\"line\":\"error\",\"sentence\":\"The device is out of memory. Choose a smaller --size.\"}");
    return 3;
  }
  const bool bad = wrong == "check" || wrong == "check_hidden";
  printf("{\"line\":\"check\",\"what\":\"sum\",\"ok\":%s,\"error\":%g,\"bound\":1e-6}\n",
         wrong == "check" ? "false" : "true", bad ? 0.5 : 1e-9);
  if (wrong == "no_end") return 0;
  if (wrong == "truncated") return fputs("{\"line\":\"end\",\"o", stdout) < 0;
  printf("{\"line\":\"end\",\"ok\":%s,\"seconds\":0.001,\"device_state\":{}}\n", wrong == "check" ? "false" : "true");
  return wrong == "check" ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IOFBF, 1 << 16);
  if (argc > 1 && strcmp(argv[1], "list") == 0) return list();
  if (argc < 3 || strcmp(argv[1], "run") != 0) return 2;
  std::string api = "cuda", size = "ci";
  for (int i = 3; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--api") == 0) api = argv[i + 1];
    if (strcmp(argv[i], "--size") == 0) size = argv[i + 1];
  }
  for (const Fake& fake : kFakes) {
    if (fake.name == std::string(argv[2])) return run(fake, api, size);
  }
  return 2;
}
