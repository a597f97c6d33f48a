// FFT: a batch of complex transforms of 512 points, forward and back, in single and double precision. Each number is
// read and written once with some 22 operations between: bound by memory on a GPU of today. The rate counts
// 5 N log2 N operations a transform, as is usual. SHOC transforms in place; here the input stays, so that every pass
// does the same.
#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <mutex>

#include "workload/parallel.h"
#include "workload/shoc/programs.h"

namespace nm::workload::shoc {
namespace {

using Complex = std::complex<double>;
constexpr size_t kPoints = 512;
constexpr uint32_t kThreads = 64;

// Well-mixed bits of a number (SplitMix64).
uint64_t mixed(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// exp(-2 π i k / n)
Complex root(size_t k, size_t n) {
  return std::polar(1.0, -2 * 3.14159265358979323846 * static_cast<double>(k % n) / static_cast<double>(n));
}

// What kernels/fft.cl multiplies with.
template <typename T>
std::vector<std::complex<T>> factors() {
  std::vector<std::complex<T>> all;
  for (size_t a = 0; a < 8; ++a) {
    for (size_t t = 0; t < 64; ++t) all.push_back(std::complex<T>(root(a * t, 512)));
  }
  for (size_t b = 0; b < 8; ++b) {
    for (size_t u = 0; u < 8; ++u) all.push_back(std::complex<T>(root(b * u, 64)));
  }
  return all;
}

// By the definition.
template <typename T>
std::vector<Complex> transform(std::span<const std::complex<T>> x) {
  std::vector<Complex> roots, result(x.size());
  for (size_t k = 0; k < x.size(); ++k) roots.push_back(root(k, x.size()));
  for (size_t f = 0; f < x.size(); ++f) {
    double re = 0, im = 0;
    for (size_t n = 0; n < x.size(); ++n) {
      const Complex w = roots[f * n % x.size()];
      const auto a = static_cast<double>(x[n].real()), b = static_cast<double>(x[n].imag());
      re += a * w.real() - b * w.imag();
      im += a * w.imag() + b * w.real();
    }
    result[f] = {re, im};
  }
  return result;
}

// ‖result − reference‖ / ‖reference‖
template <typename T, typename U>
double distance(std::span<const std::complex<T>> result, std::span<const std::complex<U>> reference) {
  double difference = 0, length = 0;
  for (size_t i = 0; i < result.size(); ++i) {
    const double re = static_cast<double>(result[i].real()) - static_cast<double>(reference[i].real());
    const double im = static_cast<double>(result[i].imag()) - static_cast<double>(reference[i].imag());
    difference += re * re + im * im;
    length += static_cast<double>(reference[i].real()) * static_cast<double>(reference[i].real()) +
              static_cast<double>(reference[i].imag()) * static_cast<double>(reference[i].imag());
  }
  return std::isfinite(difference) ? std::sqrt(difference / length) : std::numeric_limits<double>::infinity();
}

template <typename T>
void transforms(Run& run, const char* variant) {
  device::Device& device = run.device();
  using Value = std::complex<T>;
  const std::string suffix = std::string("_") + variant;
  const size_t bytes = run.pick<size_t>(1 << 20, 256 << 20, size_t{512} << 20);
  const size_t count = bytes / sizeof(Value) / kPoints;
  const device::PinnedMemory host_in = device.allocate_pinned(bytes), host_spectrum = device.allocate_pinned(bytes),
                             host_back = device.allocate_pinned(bytes);
  const std::span<Value> in = host_in.as<Value>(), spectrum = host_spectrum.as<Value>(), back = host_back.as<Value>();
  // The same numbers on every machine, whatever the number of threads: each is made from its place.
  const uint64_t seed = run.random()();
  in_pieces(count * kPoints, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const uint64_t bits = mixed(seed + i);
      in[i] = {static_cast<T>(static_cast<double>(bits >> 40) / (1 << 23) - 1),
               static_cast<T>(static_cast<double>(bits << 24 >> 40) / (1 << 23) - 1)};
    }
  });
  const device::Buffer device_in = device.allocate(bytes), device_spectrum = device.allocate(bytes),
                       device_back = device.allocate(bytes), device_factors = device.upload(factors<T>());
  const device::Kernel forward = device.kernel("fft", variant, "fft_512"),
                       inverse = device.kernel("fft", variant, "ifft_512");
  const auto go = [&] {
    device.launch(forward, {static_cast<uint32_t>(count)}, {kThreads}, device_in, device_spectrum, device_factors);
  };
  const auto go_back = [&] {
    device.launch(inverse, {static_cast<uint32_t>(count)}, {kThreads}, device_spectrum, device_back, device_factors);
  };
  const auto one = [&](std::span<const Value> data, size_t i) { return data.subspan(i * kPoints, kPoints); };

  // A transform is nine additions deep; its error grows with the root of that at best, with all of it at worst.
  constexpr double kBound = 9 * std::numeric_limits<T>::epsilon();
  const auto check_spectrum = [&](const std::string& what) {
    double worst = 0;
    const size_t samples = std::min<size_t>(count, run.pick(16, 64, 64));
    for (size_t s = 0; s < samples; ++s) {
      const size_t i = s == 0 ? 0 : s == 1 ? count - 1 : run.random()() % count;
      const std::vector<Complex> reference = transform<T>(one(in, i));
      worst = std::max(worst, distance<T, double>(one(spectrum, i), reference));
    }
    run.check(what, worst, kBound);
  };
  // Every transform of the batch: back where it came from.
  const auto check_back = [&](const std::string& what) {
    double worst = 0;
    std::mutex mutex;
    in_pieces(count * kPoints, [&](size_t begin, size_t end) {
      double mine = 0;
      for (size_t i = begin / kPoints; i < (end + kPoints - 1) / kPoints; ++i) {
        mine = std::max(mine, distance<T, T>(one(back, i), one(in, i)));
      }
      const std::lock_guard lock(mutex);
      worst = std::max(worst, mine);
    });
    run.check(what, worst, 2 * kBound);
  };
  const auto poison = [&](const device::Buffer& buffer, std::span<Value> host) {
    device.fill(buffer, 0, 0xffffffff, bytes);
    in_pieces(host.size(), [&](size_t begin, size_t end) {
      std::fill(host.begin() + static_cast<std::ptrdiff_t>(begin), host.begin() + static_cast<std::ptrdiff_t>(end),
                Value(std::numeric_limits<T>::quiet_NaN(), 0));
    });
  };

  const double gigaflops = 5.0 * kPoints * 9 * static_cast<double>(count) / 1e9;
  const int repeats = run.pick(1, 10, 40);
  const auto repeat = [&](const auto& work) {
    return rates(gigaflops * repeats, run.device_seconds([&] {
      for (int i = 0; i < repeats; ++i) work();
    }));
  };
  device.write(device_in, 0, in.data(), bytes);
  poison(device_spectrum, spectrum);
  run.sample({"fft" + suffix, "GFLOPS"}, repeat(go));
  device.read(device_spectrum, 0, spectrum.data(), bytes);
  check_spectrum("fft" + suffix);

  poison(device_back, back);
  run.sample({"ifft" + suffix, "GFLOPS"}, repeat(go_back));
  device.read(device_back, 0, back.data(), bytes);
  check_back("ifft" + suffix);

  device.fill(device_in, 0, 0, bytes);
  poison(device_spectrum, spectrum);
  run.sample({"fft" + suffix + "_pcie", "GFLOPS", true, true}, rates(gigaflops, run.wall_seconds([&] {
               device.write(device_in, 0, in.data(), bytes, false);
               go();
               device.read(device_spectrum, 0, spectrum.data(), bytes, false);
             })));
  check_spectrum("fft" + suffix + "_pcie");

  device.fill(device_spectrum, 0, 0, bytes);
  poison(device_back, back);
  run.sample({"ifft" + suffix + "_pcie", "GFLOPS", true, true}, rates(gigaflops, run.wall_seconds([&] {
               device.write(device_spectrum, 0, spectrum.data(), bytes, false);
               go_back();
               device.read(device_back, 0, back.data(), bytes, false);
             })));
  check_back("ifft" + suffix + "_pcie");
}

}  // namespace

void fft(Run& run) {
  transforms<float>(run, "sp");
  if (run.info().fp64) {
    transforms<double>(run, "dp");
  } else {
    for (const char* metric : {"fft_dp", "ifft_dp", "fft_dp_pcie", "ifft_dp_pcie"}) {
      run.skip(metric, "The device has no double precision.");
    }
  }
}

}  // namespace nm::workload::shoc
