// Svm: a support vector machine with an RBF kernel, trained on instances like gisette's, as GPU-LIBSVM does it: the
// device makes the matrix of the kernel over all pairs, which is a product of matrices and bound by arithmetic; then
// sequential minimal optimisation, thousands of steps that each read two rows of it, is bound by latency. The papers
// measure 1,800 to 6,000 instances of 5,000 features.
//
// `svm_kernel_matrix` counts the products' operations, `svm_steps` the training's steps. `svm_train` is instances by
// second, from data on the device to multipliers on the device; `_pcie` from data on the host to multipliers there.
#include <algorithm>
#include <cmath>

#include "workload/apps/programs.h"
#include "workload/apps/svm_data.h"
#include "workload/apps/svm_libsvm.h"

namespace nm::workload::apps {
namespace {

constexpr uint32_t kTile = 128, kThreads = 256, kWorkers = 512;
constexpr double kC = 2, kTolerance = 1e-3;  // the tolerance is libsvm's own default

// As the kernels have it.
struct State {
  double iterations, gap, done;
};

class Trainer {
 public:
  Trainer(device::Device& device, const SvmData& data, double gamma, int rounds)
      : device_(device), data_(data), gamma_(static_cast<float>(gamma)), rounds_(rounds) {
    values_ = device.allocate(data.values.size() * sizeof(float));
    squares_ = device.upload(data.squares);
    labels_ = device.upload(data.labels);
    matrix_ = device.allocate(data.stride * data.stride * sizeof(float));
    alpha_ = device.allocate(data.instances * sizeof(double));
    f_ = device.allocate(data.instances * sizeof(double));
    state_ = device.allocate(sizeof(State));
    device.fill(matrix_, 0, 0xffffffff, matrix_.bytes());
    start_.assign(data.labels.begin(), data.labels.end());
    matrix_kernel_ = device.kernel("svm", "sp", "kernel_matrix");
    const size_t items = (data.instances + kWorkers - 1) / kWorkers;
    if (items > 24) throw device::Failure("Svm's training has room for 12,288 instances.");
    const char* const variant = items <= 1 ? "items_1" : items <= 4 ? "items_4" : items <= 12 ? "items_12" : "items_24";
    train_kernel_ = device.kernel("svm_train", variant, "train");
    // The pads' squares are zero, as their values are.
  }

  void upload(const void* values) { device_.write(values_, 0, values, values_.bytes(), false); }

  void matrix() {
    const auto tiles = static_cast<uint32_t>(data_.stride / kTile);
    device_.launch(matrix_kernel_, {tiles, tiles}, {kThreads}, values_, squares_, matrix_,
                   static_cast<int>(data_.stride), static_cast<int>(data_.depth), gamma_);
  }

  // False: a hundred steps an instance did not do.
  bool train() {
    device_.fill(alpha_, 0, 0, alpha_.bytes());
    device_.fill(state_, 0, 0, state_.bytes());
    device_.write(f_, 0, start_.data(), f_.bytes(), false);
    do {
      device_.launch(train_kernel_, {1}, {kWorkers}, matrix_, labels_, alpha_, f_, state_,
                     static_cast<int>(data_.instances), static_cast<int>(data_.stride), kC, kTolerance, rounds_);
      device_.read(state_, 0, &now_, sizeof now_);
    } while (now_.done == 0 && now_.iterations < 100.0 * static_cast<double>(data_.instances));
    return now_.done != 0;
  }

  const State& state() const { return now_; }
  std::vector<double> alpha() { return device_.download<double>(alpha_, data_.instances); }
  std::vector<double> f() { return device_.download<double>(f_, data_.instances); }
  std::vector<float> matrix_on_host() { return device_.download<float>(matrix_, data_.stride * data_.stride); }
  const device::Buffer& matrix_buffer() const { return matrix_; }

 private:
  device::Device& device_;
  const SvmData& data_;
  float gamma_;
  int rounds_;
  State now_{};
  std::vector<double> start_;
  device::Buffer values_, squares_, labels_, matrix_, alpha_, f_, state_;
  device::Kernel matrix_kernel_, train_kernel_;
};

// Entries by chance and the diagonal. A sum of `features` products in single precision errs by some square root of
// their number of half a last place, and gamma times it is near 1: 5e-6 for 5,000 features.
void check_matrix(Run& run, const std::string& of, const SvmData& data, double gamma,
                  const std::vector<float>& matrix) {
  double worst = 0;
  for (int s = 0; s < 1000; ++s) {
    const size_t i = run.random()() % data.instances, j = s % 16 == 0 ? i : run.random()() % data.instances;
    const double error =
        std::abs(static_cast<double>(matrix[i * data.stride + j]) - std::exp(-gamma * data.distance(i, j)));
    worst = error <= worst ? worst : std::isnan(error) ? INFINITY : error;
  }
  run.check("kernel matrix" + of, worst, 2e-5);
}

struct Solution {
  double objective = 0, constant = 0;
  size_t support_vectors = 0, at_bound = 0;
  std::vector<double> f;  // of every instance: its label less its decision without the constant
};

Solution evaluate(const SvmData& data, const std::vector<float>& matrix, const std::vector<double>& alpha) {
  Solution s;
  s.f.assign(data.labels.begin(), data.labels.end());
  for (size_t i = 0; i < alpha.size(); ++i) {
    if (alpha[i] == 0) continue;
    ++s.support_vectors;
    if (alpha[i] == kC) ++s.at_bound;
    const double signed_alpha = alpha[i] * static_cast<double>(data.labels[i]);
    for (size_t k = 0; k < alpha.size(); ++k) {
      s.f[k] -= signed_alpha * static_cast<double>(matrix[i * data.stride + k]);
    }
  }
  for (size_t k = 0; k < alpha.size(); ++k) {
    const double y = static_cast<double>(data.labels[k]);
    s.objective += alpha[k] * (0.5 * y * (y - s.f[k]) - 1);
  }
  return s;
}

// Whether the multipliers are a solution, from the matrix and nothing else that the device said.
Solution check_optimal(Run& run, const std::string& of, const SvmData& data, const std::vector<float>& matrix,
                       const std::vector<double>& alpha, const std::vector<double>& f_of_device) {
  Solution s = evaluate(data, matrix, alpha);
  double balance = 0;
  for (size_t i = 0; i < alpha.size(); ++i) balance += alpha[i] * static_cast<double>(data.labels[i]);
  run.check("0 <= alpha <= C" + of,
            std::all_of(alpha.begin(), alpha.end(), [](double a) { return a >= 0 && a <= kC; }));
  run.check("sum of y alpha" + of, std::abs(balance), 1e-9 * static_cast<double>(alpha.size()));
  // Some thousand additions to each f in double precision.
  run.check("f" + of, largest_error(f_of_device, s.f), 1e-8);

  // Karush, Kuhn and Tucker: no pair may still move by more than the tolerance.
  double top = -INFINITY, low = INFINITY;
  for (size_t k = 0; k < alpha.size(); ++k) {
    const bool positive = data.labels[k] > 0;
    if (positive ? alpha[k] < kC : alpha[k] > 0) top = std::max(top, s.f[k]);
    if (positive ? alpha[k] > 0 : alpha[k] < kC) low = std::min(low, s.f[k]);
  }
  // The device chose, and found no more to choose, in single precision.
  run.check("KKT" + of, top - low, kTolerance + 1e-6);
  s.constant = 0.5 * (top + low);

  // The gap between primal and dual: a term an instance, none over C times the violation.
  double half_norm = s.objective, hinge = 0;
  for (size_t k = 0; k < alpha.size(); ++k) {
    half_norm += alpha[k];
    const double y = static_cast<double>(data.labels[k]);
    hinge += std::max(0.0, 1 - y * (y - s.f[k] + s.constant));
  }
  const double gap = half_norm + kC * hinge + s.objective;
  run.check("duality gap" + of, std::abs(gap) / -s.objective,
            kC * static_cast<double>(alpha.size()) * kTolerance / -s.objective);
  return s;
}

void check_with_libsvm(Run& run, const std::string& of, const SvmData& data, double gamma,
                       const std::vector<float>& matrix, const Solution& s) {
  // Where there are many, libsvm takes the kernel's values from the device; that those are right was checked.
  const bool few = data.instances <= 500;
  const LibsvmResult other = train_by_libsvm(data, gamma, kC, kTolerance, few ? std::vector<float>() : matrix);
  const Solution reference = evaluate(data, matrix, other.alpha);
  double worst = 0;
  for (size_t k = 0; k < data.instances; ++k) {
    worst = std::max(worst, std::abs((s.constant - s.f[k]) - (other.constant - reference.f[k])));
  }
  // Two solutions to a tolerance of 1e-3 in every f: decisions agree to a few of it; the objective, which is flat at
  // its least, to far less; which multipliers are exactly zero, to some in a hundred.
  run.check("decisions against libsvm" + of, worst, 5 * kTolerance);
  run.check("objective against libsvm" + of, std::abs(s.objective - reference.objective) / -reference.objective, 1e-5);
  const auto apart = [](size_t a, size_t b) { return std::abs(static_cast<double>(a) - static_cast<double>(b)); };
  const double allowed = 2 + 0.02 * static_cast<double>(reference.support_vectors);
  run.check("support vectors against libsvm" + of, apart(s.support_vectors, reference.support_vectors), allowed);
  run.check("multipliers at C against libsvm" + of, apart(s.at_bound, reference.at_bound), allowed);
}

void measure(Run& run, size_t instances, size_t features, bool with_libsvm) {
  device::Device& device = run.device();
  const SvmData data = svm_data(instances, features, run.random());
  const double gamma = static_cast<double>(static_cast<float>(data.gamma()));
  Trainer trainer(device, data, gamma, run.pick(64, 512, 512));
  const std::string name = std::string("/") + std::to_string(instances),
                    of = ", " + std::to_string(instances) + " instances";
  const auto figure = [&](const char* metric, const char* unit, bool pcie) {
    return Figure{metric + name, unit, true, pcie, metric, static_cast<double>(instances), "instances"};
  };
  const device::PinnedMemory values = device.allocate_pinned(data.values.size() * sizeof(float));
  std::copy(data.values.begin(), data.values.end(), values.as<float>().begin());
  const device::PinnedMemory host_matrix = device.allocate_pinned(trainer.matrix_buffer().bytes());

  trainer.upload(values.data());
  const double n = static_cast<double>(instances);
  const double gigaflops = 2 * n * n * static_cast<double>(features) / 1e9;
  run.sample(figure("svm_kernel_matrix", "GFLOPS", false),
             rates(gigaflops, run.device_seconds([&] { trainer.matrix(); })));
  run.sample(figure("svm_kernel_matrix_pcie", "GFLOPS", true), rates(gigaflops, run.wall_seconds([&] {
               trainer.upload(values.data());
               trainer.matrix();
               device.read(trainer.matrix_buffer(), 0, host_matrix.data(), host_matrix.bytes());
             })));
  bool converged = true;
  run.sample(figure("svm_train", "instances/s", false), rates(n, run.wall_seconds([&] {
               trainer.matrix();
               converged = trainer.train() && converged;
             })));
  std::vector<double> steps;
  for (const double seconds : run.wall_seconds([&] { converged = trainer.train() && converged; })) {
    steps.push_back(trainer.state().iterations / seconds);
  }
  run.sample(figure("svm_steps", "steps/s", false), steps);
  std::vector<double> alpha, f;
  run.sample(figure("svm_train_pcie", "instances/s", true), rates(n, run.wall_seconds([&] {
               trainer.upload(values.data());
               trainer.matrix();
               converged = trainer.train() && converged;
               alpha = trainer.alpha();
               f = trainer.f();
             })));
  run.check("converged" + of, converged);

  const std::vector<float> matrix = trainer.matrix_on_host();
  check_matrix(run, of, data, gamma, matrix);
  const Solution s = check_optimal(run, of, data, matrix, alpha, f);
  if (!with_libsvm) return;
  if (has_libsvm()) {
    check_with_libsvm(run, of, data, gamma, matrix, s);
  } else {
    run.skip("libsvm", "This program was built without libsvm; the answer is checked by its optimality alone.");
  }
}

}  // namespace

void svm(Run& run) {
  if (!run.info().fp64) throw device::Unsupported("The device has no double precision.");
  switch (run.size()) {
    case Size::ci:
      measure(run, 200, 256, true);
      break;
    case Size::shoc:
      measure(run, 1800, 5000, true);
      measure(run, 3200, 5000, false);
      measure(run, 4600, 5000, false);
      measure(run, 6000, 5000, false);
      break;
    case Size::gpu:
      measure(run, 12000, 5000, false);
      break;
  }
}

}  // namespace nm::workload::apps
