// GEMM: C = alpha A op(B) + beta C of square matrices, in single and double precision, op(B) being B (`_n`) or its
// transpose (`_t`). Bound by the rate of multiply-adds; SHOC measures its device's BLAS with it, here it is kernels of
// our own. Timed with alpha = 1 and beta = 0, as SHOC does.
//
// A result of n² numbers is checked in about n² steps (Freivalds): for a random vector x, C x must be
// alpha A (op(B) x) + beta C₀ x, row by row. A single wrong number moves its row's sum by about its own size.
#include <cmath>
#include <limits>

#include "workload/shoc/programs.h"

namespace nm::workload::shoc {
namespace {

constexpr uint32_t kTile = 128;

double uniform(Run& run) { return static_cast<double>(run.random()() >> 40) / (1 << 23) - 1.0; }

// m x, and mᵀ x: m has n rows.
template <typename T>
std::vector<double> times(std::span<const T> m, const std::vector<double>& x) {
  const size_t n = x.size();
  std::vector<double> y(n);
  for (size_t i = 0; i < n; ++i) {
    const T* const row = m.data() + i * n;
    double sum[8] = {};  // independent sums, which a compiler may compute side by side
    for (size_t j = 0; j < n; j += 8) {
      for (size_t k = 0; k < 8; ++k) sum[k] += static_cast<double>(row[j + k]) * x[j + k];
    }
    for (const double part : sum) y[i] += part;
  }
  return y;
}
template <typename T>
std::vector<double> transposed_times(std::span<const T> m, const std::vector<double>& x) {
  const size_t n = x.size();
  std::vector<double> y(n);
  for (size_t i = 0; i < n; ++i) {
    const T* const row = m.data() + i * n;
    for (size_t j = 0; j < n; ++j) y[j] += static_cast<double>(row[j]) * x[i];
  }
  return y;
}

// The kernel for this device and precision, as launched: on CUDA the slices lie in dynamic shared memory.
struct Kind {
  const char *source, *variant;
  uint32_t threads, shared_bytes;  // 0: OpenCL, whose kernels have it of their own
};
Kind kind_for(const Run& run, bool is_double) {
  const Kind kinds[] = {
      {"gemm_tensor", "sm90", 256, 3 * 2 * kTile * (32 + 4) * 8},  // stages, of A and of B, of slices 32 deep
      {"gemm_tensor", "dp", 256, 4 * 2 * kTile * (16 + 4) * 8},
      {"gemm", "dp", 256, 3 * 2 * 8 * (kTile + 4) * 8},
  };
  if (!run.cuda()) return {"gemm", is_double ? "dp" : "sp", is_double ? 256u : 128u, 0};
  if (!is_double) return {"gemm", "sp", 128, 3 * 2 * 16 * (kTile + 4) * 4};
  // What does not have the memory for the tensor cores' slices has hardly any arithmetic in double precision either.
  const int first = run.info().compute_major >= 9 ? 0 : 1;
  for (const Kind& kind : std::span(kinds).subspan(static_cast<size_t>(first))) {
    if (kind.shared_bytes <= run.info().most_shared_bytes) return kind;
  }
  return kinds[2];
}

template <typename T>
void gemm(Run& run, const char* name, size_t n, int repeats) {
  device::Device& device = run.device();
  const size_t bytes = n * n * sizeof(T);
  const auto blocks = static_cast<uint32_t>(n / kTile);
  const Kind kind = kind_for(run, sizeof(T) == 8);

  const device::PinnedMemory host_a = device.allocate_pinned(bytes), host_b = device.allocate_pinned(bytes),
                             host_c = device.allocate_pinned(bytes);
  const std::span<T> a = host_a.as<T>(), b = host_b.as<T>(), c = host_c.as<T>();
  for (T& value : a) value = static_cast<T>(uniform(run));
  for (T& value : b) value = static_cast<T>(uniform(run));
  std::vector<double> x(n);
  for (double& value : x) value = uniform(run);
  const device::Buffer device_a = device.allocate(bytes), device_b = device.allocate(bytes),
                       device_c = device.allocate(bytes);
  device.write(device_a, 0, a.data(), bytes);
  device.write(device_b, 0, b.data(), bytes);

  for (const bool transposed : {false, true}) {
    const std::string metric = std::string(name) + (transposed ? "_t" : "_n");
    const device::Kernel kernel = device.kernel(kind.source, kind.variant, transposed ? "gemm_t" : "gemm_n");
    const auto launch = [&](T alpha, T beta) {
      const device::Size3 grid{blocks, blocks}, threads{kind.threads};
      const auto go = [&](const auto&... arguments) {
        if (kind.shared_bytes) {
          device.launch_shared(kernel, grid, threads, kind.shared_bytes, arguments...);
        } else {
          device.launch(kernel, grid, threads, arguments...);
        }
      };
      go(device_a, device_b, device_c, alpha, beta, static_cast<int>(n));
    };
    const std::vector<double> ab = times<T>(a, transposed ? transposed_times<T>(b, x) : times<T>(b, x));  // A (op(B) x)
    // Of n products below 1, summed one after the other, the rounding errors add up to about eps n / 14 (each is at
    // most half an eps of a partial sum, which grows as a random walk); over a row, weighted by x, to √n times that.
    // Eight times as much never happens by chance, while one product left out of one sum is more.
    const auto check = [&](const std::string& what, double alpha, double beta, const std::vector<double>& before) {
      const std::vector<double> result = times<T>(c, x);
      double worst = 0;
      for (size_t i = 0; i < n; ++i) {
        const double error = std::abs(result[i] - (alpha * ab[i] + beta * before[i]));
        if (!(error <= worst)) worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
      }
      const auto size = static_cast<double>(n);
      run.check(what, worst / (size * std::sqrt(size)), 0.5 * std::numeric_limits<T>::epsilon());
    };

    // BLAS in full, once.
    for (T& value : c) value = static_cast<T>(uniform(run));
    const std::vector<double> before = times<T>(c, x), none(n);
    device.write(device_c, 0, c.data(), bytes);
    launch(static_cast<T>(0.75), static_cast<T>(-0.5));
    device.read(device_c, 0, c.data(), bytes);
    check(metric + " with alpha and beta", 0.75, -0.5, before);

    const double gigaflops = 2.0 * std::pow(static_cast<double>(n), 3) / 1e9;
    device.fill(device_c, 0, 0xffffffff, bytes);  // not a number
    const auto seconds = run.device_seconds([&] {
      for (int i = 0; i < repeats; ++i) launch(1, 0);
    });
    run.sample({metric, "GFLOPS"}, rates(gigaflops * repeats, seconds));
    device.read(device_c, 0, c.data(), bytes);
    check(metric, 1, 0, none);

    device.fill(device_a, 0, 0xffffffff, bytes);
    device.fill(device_b, 0, 0xffffffff, bytes);
    device.fill(device_c, 0, 0xffffffff, bytes);
    std::fill(c.begin(), c.end(), std::numeric_limits<T>::quiet_NaN());
    const auto wall = run.wall_seconds([&] {
      device.write(device_a, 0, a.data(), bytes, false);
      device.write(device_b, 0, b.data(), bytes, false);
      launch(1, 0);
      device.read(device_c, 0, c.data(), bytes, false);
    });
    run.sample({metric + "_pcie", "GFLOPS", true, true}, rates(gigaflops, wall));
    check(metric + "_pcie", 1, 0, none);
  }
}

}  // namespace

void gemm(Run& run) {
  // SHOC: matrices whose rows have 1 to 16 KiB.
  gemm<float>(run, "sgemm", run.pick<size_t>(256, 4096, 8192), 1);
  if (run.info().fp64) {
    gemm<double>(run, "dgemm", run.pick<size_t>(256, 2048, 8192), run.pick(1, 4, 1));
  } else {
    for (const char* metric : {"dgemm_n", "dgemm_t", "dgemm_n_pcie", "dgemm_t_pcie"}) {
      run.skip(metric, "The device has no double precision.");
    }
  }
}

}  // namespace nm::workload::shoc
