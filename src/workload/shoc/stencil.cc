// Stencil2D: 1,000 steps of a 9-point stencil over a square with a halo of zeros, with SHOC's weights. Bound by memory
// (by the L2 where both squares fit into it); 11 operations a point, as SHOC counts. SHOC's figure includes the
// transfers, which 1,000 steps outweigh; here it is `stencil_pcie`. On CUDA a launch makes two steps, so that the
// second finds the first in registers.
//
// A thousand steps cannot be repeated on the host. Two things are checked instead: after a few steps, tiles of the
// square against the same steps in double precision; and after all of them, the square's projection on two of the
// stencil's own modes, products of sines, each of which a step only multiplies by its eigenvalue.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numbers>

#include "workload/shoc/programs.h"

namespace nm::workload::shoc {
namespace {

constexpr double kCenter = 0.25, kCardinal = 0.15, kDiagonal = 0.05;
constexpr int kMargin = 32;  // numbers before and after a row's own (kernels/stencil.cl)

template <typename T>
class Stencil {
 public:
  Stencil(Run& run, const char* variant, const std::string& suffix)
      : run_(run), device_(run.device()), variant_(variant), suffix_(suffix), n_(run.pick(256, 4096, 8192)) {
    pitch_ = n_ + 2 * kMargin;
    bytes_ = static_cast<size_t>(pitch_) * (n_ + 2) * sizeof(T);
    host_in_ = device_.allocate_pinned(bytes_), host_out_ = device_.allocate_pinned(bytes_);
    std::fill(in().begin(), in().end(), T{0});
    for (int row = 0; row < n_; ++row) {
      for (int column = 0; column < n_; column += 2) {
        const uint64_t bits = run.random()();
        in()[at(row, column)] = static_cast<T>(static_cast<float>(bits >> 40) / (1 << 24));
        in()[at(row, column + 1)] = static_cast<T>(static_cast<float>(bits & 0xffffff) / (1 << 24));
      }
    }
    kernel_ = device_.kernel("stencil", variant_, run.cuda() ? "stencil_two" : "stencil");
    a_ = device_.allocate(bytes_), b_ = device_.allocate(bytes_);
    // The halo of both.
    device_.fill(b_, 0, 0, bytes_);
    device_.write(a_, 0, host_in_.data(), bytes_);
  }

  void measure() {
    const int steps = run_.pick(20, 1000, 100);
    const double operations = 11.0 * n_ * n_ * steps / 1e9;

    constexpr int kFewSteps = 6;
    this->steps(kFewSteps);
    device_.read(device_out(kFewSteps), 0, host_out_.data(), bytes_);
    // Positive terms only, at most 9 roundings a step.
    run_.check("tiles of stencil" + suffix_ + " after " + std::to_string(kFewSteps) + " steps", tiles(kFewSteps),
               9.0 * kFewSteps * epsilon());

    // Kernels alone and with transfers, from the same passes. Each begins anew: the weights add up to 1.05.
    using Clock = std::chrono::steady_clock;
    std::fill(out().begin(), out().end(), std::numeric_limits<T>::quiet_NaN());
    std::vector<double> seconds, in_kernels;
    for (int pass = -1; pass < run_.passes(); ++pass) {
      const auto begin = Clock::now();
      device_.write(a_, 0, host_in_.data(), bytes_, false);
      const auto kernels_begin = device_.mark();
      this->steps(steps);
      const auto kernels_end = device_.mark();
      device_.read(device_out(steps), 0, host_out_.data(), bytes_);
      const double all = std::chrono::duration<double>(Clock::now() - begin).count();
      const double kernels = device_.seconds_between(*kernels_begin, *kernels_end);
      if (pass >= 0) seconds.push_back(all), in_kernels.push_back(kernels);
    }
    run_.sample({"stencil" + suffix_, "GFLOPS"}, rates(operations, in_kernels));
    run_.sample({"stencil" + suffix_ + "_pcie", "GFLOPS", true, true}, rates(operations, seconds));
    modes("stencil" + suffix_, steps);
  }

 private:
  std::span<T> in() const { return host_in_.template as<T>(); }
  std::span<T> out() const { return host_out_.template as<T>(); }
  size_t at(int row, int column) const { return static_cast<size_t>(row + 1) * pitch_ + kMargin + column; }
  static double epsilon() { return static_cast<double>(std::numeric_limits<T>::epsilon()); }

  // Two a launch on CUDA.
  int launches(int steps) const { return run_.cuda() ? steps / 2 : steps; }
  const device::Buffer& device_out(int steps) const { return launches(steps) % 2 ? b_ : a_; }

  // An even number.
  void steps(int count) {
    const T center = static_cast<T>(kCenter), cardinal = static_cast<T>(kCardinal),
            diagonal = static_cast<T>(kDiagonal);
    const auto n = static_cast<uint32_t>(n_);
    for (int i = 0; i < launches(count); ++i) {
      const device::Buffer &from = i % 2 ? b_ : a_, &to = i % 2 ? a_ : b_;
      if (run_.cuda()) {
        device_.launch(kernel_, {(n + 119) / 120, n / 128}, {32, 4}, from, to, n_, pitch_, center, cardinal, diagonal);
      } else {
        device_.launch(kernel_, {n / 128, n / 32}, {32, 4}, from, to, pitch_, center, cardinal, diagonal);
      }
    }
  }

  // The largest relative error in tiles of 48 x 48: the corners, and others at random.
  double tiles(int steps) {
    constexpr int kTile = 48;
    double worst = 0;
    for (int tile = 0; tile < 20; ++tile) {
      const int last = n_ - kTile;
      const int top = tile < 4 ? tile / 2 * last : static_cast<int>(run_.random()() % static_cast<uint64_t>(last + 1));
      const int left = tile < 4 ? tile % 2 * last : static_cast<int>(run_.random()() % static_cast<uint64_t>(last + 1));
      // What can reach the tile in these steps, and the zeros around the square.
      const int size = kTile + 2 * steps + 2;
      std::vector<double> now(static_cast<size_t>(size) * size), next;
      const auto inside = [&](int i, int j) {
        const int row = top - steps - 1 + i, column = left - steps - 1 + j;
        return row >= 0 && row < n_ && column >= 0 && column < n_;
      };
      for (int i = 0; i < size; ++i) {
        for (int j = 0; j < size; ++j) {
          now[i * size + j] =
              inside(i, j) ? static_cast<double>(in()[at(top - steps - 1 + i, left - steps - 1 + j)]) : 0;
        }
      }
      const double center = static_cast<T>(kCenter), cardinal = static_cast<T>(kCardinal),
                   diagonal = static_cast<T>(kDiagonal);
      for (int step = 0; step < steps; ++step) {
        next = now;
        for (int i = 1; i + 1 < size; ++i) {
          for (int j = 1; j + 1 < size; ++j) {
            if (!inside(i, j)) continue;
            const double* p = &now[i * size + j];
            next[i * size + j] = center * p[0] + cardinal * (p[-1] + p[1] + p[-size] + p[size]) +
                                 diagonal * (p[-size - 1] + p[-size + 1] + p[size - 1] + p[size + 1]);
          }
        }
        now.swap(next);
      }
      for (int i = 0; i < kTile; ++i) {
        for (int j = 0; j < kTile; ++j) {
          const double right = now[(i + steps + 1) * size + j + steps + 1];
          const double error = std::abs(static_cast<double>(out()[at(top + i, left + j)]) - right) / right;
          if (!(error <= worst)) worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
        }
      }
    }
    return worst;
  }

  void modes(const std::string& what, int steps) {
    for (const auto& [p, q] : {std::pair{1, 1}, std::pair{2, 3}}) {
      std::vector<double> down(n_), across(n_);
      const double vertical = std::numbers::pi * p / (n_ + 1), horizontal = std::numbers::pi * q / (n_ + 1);
      for (int i = 0; i < n_; ++i) down[i] = std::sin(vertical * (i + 1)), across[i] = std::sin(horizontal * (i + 1));
      double before = 0, after = 0, scale = 0;
      for (int row = 0; row < n_; ++row) {
        double row_before = 0, row_after = 0, row_scale = 0;
        const T *a = &in()[at(row, 0)], *b = &out()[at(row, 0)];
        for (int i = 0; i < n_; ++i) {
          row_before += across[i] * static_cast<double>(a[i]);
          row_after += across[i] * static_cast<double>(b[i]);
          row_scale += std::abs(across[i] * static_cast<double>(b[i]));
        }
        before += down[row] * row_before, after += down[row] * row_after, scale += std::abs(down[row]) * row_scale;
      }
      const double center = static_cast<T>(kCenter), cardinal = static_cast<T>(kCardinal),
                   diagonal = static_cast<T>(kDiagonal);
      const double value = center + 2 * cardinal * (std::cos(vertical) + std::cos(horizontal)) +
                           4 * diagonal * std::cos(vertical) * std::cos(horizontal);
      // All numbers are positive: each carries a relative error of at most 9 roundings a step. In double precision the
      // sums here have their own.
      run_.check("mode " + std::to_string(p) + "," + std::to_string(q) + " of " + what,
                 std::abs(after - std::pow(value, steps) * before) / scale, 9.0 * steps * epsilon() + 1e-11);
    }
  }

  Run& run_;
  device::Device& device_;
  const char* variant_;
  std::string suffix_;
  int n_, pitch_ = 0;
  size_t bytes_ = 0;
  device::Kernel kernel_;
  device::PinnedMemory host_in_, host_out_;
  device::Buffer a_, b_;
};

}  // namespace

void stencil(Run& run) {
  Stencil<float>(run, "sp", "").measure();
  if (run.info().fp64) {
    Stencil<double>(run, "dp", "_dp").measure();
  } else {
    run.skip("stencil_dp", "The device has no double precision.");
  }
}

}  // namespace nm::workload::shoc
