// A benchmark program: its name, and a function that runs it on a device and says what it measured. Programs are listed
// by hand, one table a suite (suites.h). What they print is written by Run, in the format of output.md.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "device/device.h"

namespace nm::workload {

// ci: under two seconds on two cores without a GPU · shoc: the sizes of SHOC's own programs (its largest, 4, unless a
// program says otherwise) · gpu: fills a modern GPU (at least eight times its L2, kernels of 10 ms and more).
enum class Size { ci, shoc, gpu };
std::string_view name_of(Size size);

struct Figure {
  std::string metric;
  std::string unit;  // "GB/s", "GFLOPS", "us", …
  bool higher_is_better = true;
  bool pcie = false;        // its time includes transfers between host and device
  std::string series = {};  // points of one curve share it
  double x = 0;
  std::string x_unit = {};
  bool detail = false;

  // A part of another figure of its program: shown, and no member of a level's mean.
  Figure as_detail() const {
    Figure part = *this;
    part.detail = true;
    return part;
  }
};

struct Settings {
  Size size = Size::ci;
  int passes = 0;  // 0: as many as suit the size
  uint64_t seed = 1;
  int ordinal = 0;  // which of the API's devices
};

class Run {
 public:
  // Takes lines of JSON, without their end.
  using Out = std::function<void(std::string_view line)>;

  Run(device::Device& device, const Settings& settings, Out out);

  device::Device& device() { return device_; }
  const device::Info& info() const { return device_.info(); }
  // The same device once more: a thread's own way to it.
  std::unique_ptr<device::Device> open_another() const {
    return device::Device::open(device_.api(), settings_.ordinal);
  }
  bool cuda() const { return device_.api() == device::Api::cuda; }
  Size size() const { return settings_.size; }
  int passes() const { return passes_; }
  // The same numbers for the same --seed, on every machine.
  std::mt19937_64& random() { return random_; }

  template <typename T>
  T pick(T ci, T shoc, T gpu) const {
    return settings_.size == Size::ci ? ci : settings_.size == Size::shoc ? shoc : gpu;
  }

  // One value a pass, in the figure's unit. A value that is not finite and positive fails the run.
  void sample(const Figure& figure, const std::vector<double>& values);
  // ‖result − reference‖ / ‖reference‖, or the like, against a bound that the program can argue for.
  void check(std::string_view what, double error, double bound);
  // For what is right or wrong and nothing between.
  void check(std::string_view what, bool right) { check(what, right ? 0 : 1, 0.5); }
  void skip(std::string_view metric, std::string_view why);

  bool ok() const { return ok_; }

  // `work` once to warm up, then once a pass; what it took each time.
  // By the device's clock, between marks around it; work that is shorter than about 1 ms is better repeated within.
  std::vector<double> device_seconds(const std::function<void()>& work);
  // By the host's clock, until the device has finished.
  std::vector<double> wall_seconds(const std::function<void()>& work);

 private:
  device::Device& device_;
  Settings settings_;
  int passes_;
  Out out_;
  std::mt19937_64 random_;
  bool ok_ = true;
};

// work / seconds, each: rates from times.
std::vector<double> rates(double work, const std::vector<double>& seconds);
// seconds × scale, each: 1e6 for us.
std::vector<double> scaled(double scale, const std::vector<double>& seconds);
// The largest |a − b| / max(1, |b|); infinite where one is NaN or the lengths differ.
double largest_error(const std::vector<float>& result, const std::vector<double>& reference);
double largest_error(const std::vector<double>& result, const std::vector<double>& reference);
// ‖a − b‖₂ / ‖b‖₂; infinite where one is NaN or the lengths differ.
double norm_error(const std::vector<float>& result, const std::vector<double>& reference);
double norm_error(const std::vector<double>& result, const std::vector<double>& reference);

struct Program {
  std::string_view name;     // as SHOC writes it, where it is SHOC's
  std::string_view suite;    // shoc, apps, ai, path
  int level;                 // SHOC's; -1 elsewhere
  bool opencl;               // every program runs on CUDA
  std::string_view summary;  // half a line
  void (*run)(Run&);
};

}  // namespace nm::workload
