// MaxFlops: how much arithmetic the device does when nothing else holds it up. SHOC's sixteen kernels: additions,
// products, multiply-adds and multiply-adds with a product behind, in one to eight independent chains a thread;
// maxspflops and maxdpflops are the best of them. Bound by the arithmetic units, or by their latency where chains are
// few.
//
// Sound compilers cannot shorten a chain: its operands are arguments, and each step rounds. A host that computes the
// same chain, rounding as IEEE 754 wants it, must get the same bits; the multiply-add with a product is a logistic map
// in its chaotic range, where one step missed or rounded differently changes everything.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "workload/shoc/programs.h"

namespace nm::workload::shoc {
namespace {

// A turn's, over all chains: kernels/max_flops.cl's STEPS.
int steps_of(Run& run) { return !run.cuda() && run.info().is_cpu ? 48 : 240; }
constexpr uint32_t kThreads = 128;

struct Operation {
  const char* name;      // SHOC's
  const char* function;  // the kernel's, before the number of chains
  double v1, v2;
  int flops;  // a step
};
// SHOC's own operands make chains that come to rest, or go round in twos: then nobody could tell how many steps were
// done. With these a value changes with every step, at any length used here, and stays between 0 and 2,000.
constexpr Operation kOperations[] = {{"Add", "add", 0.001, 0.0, 1},
                                     {"Mul", "mul", 1.25, 0.8000016, 2},
                                     {"MAdd", "madd", 2e-5, 0.999999, 2},
                                     {"MulMAdd", "mulmadd", 3.75, -0.355, 3}};

template <typename T>
T chain(const Operation& operation, T s, int64_t steps) {
  const T v1 = static_cast<T>(operation.v1), v2 = static_cast<T>(operation.v2);
  switch (operation.name[0] == 'A' ? 0 : std::strcmp(operation.name, "Mul") == 0 ? 1 : operation.flops) {
    case 0:
      for (; steps > 0; --steps) s = s + v1;
      break;
    case 1:
      for (; steps > 0; --steps) s = (s * v1) * v2;
      break;
    case 2:
      for (; steps > 0; --steps) s = std::fma(s, v2, v1);
      break;
    default:
      for (; steps > 0; --steps) s = std::fma(s, v2, v1) * s;
  }
  return s;
}

template <typename T>
T expected(const Operation& operation, T in, int chains, int64_t steps) {
  T s[8];
  for (int i = 0; i < chains; ++i) {
    s[i] = chain(operation, i == 0 ? in : in * static_cast<T>(1.0 - i / 16.0), steps / chains);
  }
  // Pairs, pairs of pairs: as the kernel adds them.
  for (int width = 1; width < chains; width *= 2) {
    for (int i = 0; i < chains; i += 2 * width) s[i] += s[i + width];
  }
  return s[0];
}

template <typename T>
void measure(Run& run, const char* variant, const std::string& suffix, const std::string& metric) {
  device::Device& device = run.device();
  // Whole waves of full multiprocessors, so that none waits for the last.
  const auto full = static_cast<uint32_t>(std::max(1, run.info().multiprocessors)) * 2048;
  const uint32_t n = run.pick<uint32_t>(2048, full, full);
  const int turns = run.pick(2, 1000, 4000), steps = steps_of(run);
  // The second half mirrors the first, as SHOC has it: every value has a twin to be compared with.
  std::vector<T> in(n);
  for (uint32_t i = 0; i < n / 2; ++i) {
    in[i] = in[n - 1 - i] = static_cast<T>(0.5 + 9.0 * static_cast<double>(run.random()() >> 40) / (1 << 24));
  }
  const device::Buffer device_in = device.upload(in);
  const device::Buffer out = device.allocate(n * sizeof(T));
  std::vector<double> best;
  for (const Operation& operation : kOperations) {
    for (const int chains : {1, 2, 4, 8}) {
      // Compilers for CPUs take half a second over the four between.
      if (run.size() == Size::ci && steps == 48 && (chains == 2 || chains == 4)) continue;
      const std::string name = operation.name + std::to_string(chains) + suffix;
      const device::Kernel kernel =
          device.kernel("max_flops", variant, (operation.function + std::to_string(chains)).c_str());
      device.fill(out, 0, 0xffffffff, out.bytes());
      const double gflop = static_cast<double>(n) * turns * steps * operation.flops / 1e9;
      const std::vector<double> speeds = rates(gflop, run.device_seconds([&] {
        device.launch(kernel, {n / kThreads}, {kThreads}, device_in, out, turns, static_cast<T>(operation.v1),
                      static_cast<T>(operation.v2));
      }));
      run.sample(Figure{name, "GFLOPS"}.as_detail(), speeds);
      best.resize(speeds.size());
      for (size_t i = 0; i < speeds.size(); ++i) best[i] = std::max(best[i], speeds[i]);

      const std::vector<T> result = device.download<T>(out, n);
      size_t wrong = 0;
      for (uint32_t i = 0; i < n / 2; ++i) wrong += !(result[i] == result[n - 1 - i]);
      for (const uint32_t i : {0u, n / 2 - 1, static_cast<uint32_t>(run.random()() % (n / 2))}) {
        wrong += !(result[i] == expected(operation, in[i], chains, int64_t{turns} * steps));
      }
      run.check(name + ": wrong values", static_cast<double>(wrong), 0);
    }
  }
  run.sample({metric, "GFLOPS"}, best);
}

}  // namespace

void max_flops(Run& run) {
  measure<float>(run, "sp", "-SP", "maxspflops");
  if (run.info().fp64) {
    measure<double>(run, "dp", "-DP", "maxdpflops");
  } else {
    run.skip("maxdpflops", "The device has no double precision.");
  }
}

}  // namespace nm::workload::shoc
