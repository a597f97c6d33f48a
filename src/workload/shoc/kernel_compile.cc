// KernelCompile: how long the driver takes from a program's text to a kernel, for a program of one line and one of two
// kernels, with SHOC's names of the steps; ocl_kernel is the quickest build. On CUDA the text is PTX, which the driver
// compiles as it loads it. Bound by the driver's compiler on the host. Texts are new each time, or the driver would
// find them among those that it keeps; how long it takes when it does find them is `…_again`.
#include <algorithm>
#include <chrono>
#include <numeric>

#include "workload/shoc/programs.h"
#include "workload/timing.h"

namespace nm::workload::shoc {
namespace {

// c = a + b by the program as it was built.
bool adds(Run& run, device::Program& program) {
  device::Device& device = run.device();
  std::vector<float> a(256), b(256);
  for (size_t i = 0; i < a.size(); ++i) {
    a[i] = static_cast<float>(run.random()() & 0xffff);
    b[i] = static_cast<float>(run.random()() & 0xffff);
  }
  const device::Buffer device_a = device.upload(a), device_b = device.upload(b), device_c = device.allocate(1024);
  device.fill(device_c, 0, 0xffffffff, 1024);
  device.launch(program.kernel("add"), {2}, {128}, device_a, device_b, device_c);
  const std::vector<float> c = device.download<float>(device_c, 256);
  for (size_t i = 0; i < a.size(); ++i) {
    if (!(c[i] == a[i] + b[i])) return false;
  }
  return true;
}

bool scans(Run& run, device::Program& program) {
  device::Device& device = run.device();
  constexpr int kN = 1000, kBlocks = 4;
  std::vector<int> in(kN);
  for (int& value : in) value = static_cast<int>(run.random()() & 0xff);
  const device::Buffer device_in = device.upload(in), out = device.allocate(kN * 4),
                       sums = device.allocate(kBlocks * 4);
  device.fill(out, 0, 0xffffffff, out.bytes());
  device.launch(program.kernel("scan_blocks"), {kBlocks}, {128}, device_in, out, sums, kN);
  device.launch(program.kernel("add_offsets"), {kBlocks}, {128}, out, sums, kN);
  std::vector<int> expected(kN);
  std::exclusive_scan(in.begin(), in.end(), expected.begin(), 0);
  return device.download<int>(out, kN) == expected;
}

}  // namespace

void kernel_compile(Run& run) {
  device::Device& device = run.device();
  struct Text {
    const char* variant;
    const char* function;
    bool (*right)(Run&, device::Program&);
  };
  std::vector<double> quickest;
  for (const Text& text : {Text{"short", "add", adds}, Text{"long", "scan_blocks", scans}}) {
    std::vector<double> build, extract, cleanup, again;
    bool right = false;
    for (int pass = -1; pass < run.passes(); ++pass) {  // the first warms up
      const uint64_t salt = fresh_salt();
      std::unique_ptr<device::Program> program;
      const double built = seconds_of([&] { program = device.build("compile", text.variant, salt); });
      const double extracted = seconds_of([&] { program->kernel(text.function); });
      const bool last = pass + 1 == run.passes();
      right = !last || text.right(run, *program);
      const double cleaned = seconds_of([&] { program.reset(); });
      const double rebuilt = seconds_of([&] { program = device.build("compile", text.variant, salt); });
      right = right && (!last || text.right(run, *program));
      if (pass < 0) continue;
      build.push_back(built), extract.push_back(extracted), cleanup.push_back(cleaned), again.push_back(rebuilt);
    }
    const std::string of = std::string("/") + text.variant + "_kernel";
    run.sample(Figure{"BuildProgram" + of, "s", false}.as_detail(), build);
    run.sample(Figure{"ExtractKernel" + of, "s", false}.as_detail(), extract);
    run.sample(Figure{"Cleanup" + of, "s", false}.as_detail(), cleanup);
    run.sample(Figure{"BuildProgram_again" + of, "s", false}.as_detail(), again);
    run.check(std::string(text.variant) + " program", right);
    quickest.resize(build.size(), build.front());
    for (size_t i = 0; i < build.size(); ++i)
      quickest[i] = text.variant[0] == 's' ? build[i] : std::min(quickest[i], build[i]);
  }
  run.sample({"ocl_kernel", "s", false}, quickest);
}

}  // namespace nm::workload::shoc
