// MD: the Lennard-Jones force on each atom from its 128 nearest neighbours, one evaluation as a molecular dynamics step
// needs it. The atoms lie at random in a cube, in no order, so that the neighbours' positions come from all over: bound
// by the cache's rate of gathered reads. SHOC gives the rate as operations (8 a pair, 13 more within the cutoff) and as
// bytes (three numbers a position and a force, the list).
#include <algorithm>
#include <cmath>
#include <limits>

#include "workload/shoc/md_neighbours.h"
#include "workload/shoc/programs.h"

namespace nm::workload::shoc {
namespace {

constexpr size_t kNeighbours = 128;
constexpr uint32_t kAtomsOfABlock = 32, kThreads = 128;
constexpr double kCutoff2 = 16, kLj1 = 1.5, kLj2 = 2.0;

struct Problem {
  std::vector<std::array<float, 3>> atoms;
  std::vector<int32_t> neighbours;
  size_t pairs_within = 0;
};

Problem make_problem(Run& run, size_t n) {
  Problem problem;
  // SHOC's cube has an edge of 20 for up to 73,728 atoms; as densely filled here with any number.
  const auto edge = static_cast<float>(20 * std::cbrt(static_cast<double>(n) / 73728));
  problem.atoms.resize(n);
  for (auto& atom : problem.atoms) {
    for (float& x : atom) x = static_cast<float>(run.random()() >> 40) / (1 << 24) * edge;
  }
  problem.neighbours = nearest_neighbours(problem.atoms, edge, kNeighbours);
  return problem;
}

// The force on atom i, and how large the terms were that it is the sum of.
std::array<double, 4> force_on(const Problem& problem, size_t i, size_t* within) {
  std::array<double, 4> force{};
  const size_t n = problem.atoms.size();
  for (size_t k = 0; k < kNeighbours; ++k) {
    const auto& there = problem.atoms[static_cast<size_t>(problem.neighbours[k * n + i])];
    double d[3], r2 = 0;
    for (size_t axis = 0; axis < 3; ++axis) {
      d[axis] = static_cast<double>(problem.atoms[i][axis]) - static_cast<double>(there[axis]);
      r2 += d[axis] * d[axis];
    }
    if (r2 >= kCutoff2) continue;
    ++*within;
    const double inverse2 = 1 / r2, inverse6 = inverse2 * inverse2 * inverse2;
    for (size_t axis = 0; axis < 3; ++axis) force[axis] += d[axis] * inverse2 * inverse6 * (kLj1 * inverse6 - kLj2);
    force[3] += std::sqrt(r2) * inverse2 * inverse6 * (kLj1 * inverse6 + kLj2);
  }
  return force;
}

template <typename T>
void forces(Run& run, const Problem& problem, const char* variant, const std::string& name) {
  device::Device& device = run.device();
  const size_t n = problem.atoms.size(), vector_bytes = n * 4 * sizeof(T);
  const size_t list_bytes = problem.neighbours.size() * sizeof(int32_t);
  const device::PinnedMemory host_position = device.allocate_pinned(vector_bytes),
                             host_force = device.allocate_pinned(vector_bytes),
                             host_list = device.allocate_pinned(list_bytes);
  for (size_t i = 0; i < n; ++i) {
    for (size_t axis = 0; axis < 3; ++axis) {
      host_position.as<T>()[4 * i + axis] = static_cast<T>(problem.atoms[i][axis]);
    }
    host_position.as<T>()[4 * i + 3] = 0;
  }
  std::copy(problem.neighbours.begin(), problem.neighbours.end(), host_list.as<int32_t>().begin());
  const device::Buffer position = device.allocate(vector_bytes), list = device.allocate(list_bytes),
                       force = device.allocate(vector_bytes);
  const device::Kernel kernel = device.kernel("md", variant, "lennard_jones");
  const auto launch = [&] {
    device.launch(kernel, {static_cast<uint32_t>(n) / kAtomsOfABlock}, {kThreads}, position, list, force,
                  static_cast<int>(n), static_cast<int>(kNeighbours), static_cast<T>(kCutoff2), static_cast<T>(kLj1),
                  static_cast<T>(kLj2));
  };
  // Each term has some 30 roundings' error (a difference, its square, and that to the seventh power); the sum, relative
  // to the sum of what its terms are without their signs, no more than that and its own few.
  const auto check = [&](const std::string& what) {
    double worst = 0;
    size_t within = 0;
    const size_t step = std::max<size_t>(1, n / 65536);
    for (size_t i = 0; i < n; i += step) {
      const std::array<double, 4> reference = force_on(problem, i, &within);
      for (size_t axis = 0; axis < 3; ++axis) {
        const double error =
            std::abs(static_cast<double>(host_force.as<T>()[4 * i + axis]) - reference[axis]) / reference[3];
        if (!(error <= worst)) worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
      }
    }
    run.check(what, worst, 32.0 * std::numeric_limits<T>::epsilon());
  };
  const auto poison = [&] {
    device.fill(force, 0, 0xffffffff, vector_bytes);
    std::fill(host_force.as<T>().begin(), host_force.as<T>().end(), std::numeric_limits<T>::quiet_NaN());
  };

  const auto pairs = static_cast<double>(n * kNeighbours);
  const double gigaflops = (8.0 * pairs + 13.0 * static_cast<double>(problem.pairs_within)) / 1e9;
  const double gigabytes =
      (3.0 * sizeof(T) * (1 + pairs) + 3.0 * sizeof(T) * static_cast<double>(n) + sizeof(int32_t) * pairs) / 1e9;
  const int repeats = run.pick(1, 20, 10);
  device.write(position, 0, host_position.data(), vector_bytes);
  device.write(list, 0, host_list.data(), list_bytes);
  poison();
  std::vector<double> seconds = run.device_seconds([&] {
    for (int i = 0; i < repeats; ++i) launch();
  });
  for (double& s : seconds) s /= repeats;
  device.read(force, 0, host_force.data(), vector_bytes);
  run.sample({name + "_flops", "GFLOPS"}, rates(gigaflops, seconds));
  run.sample({name + "_bw", "GB/s"}, rates(gigabytes, seconds));
  check(name);

  poison();
  device.fill(position, 0, 0, vector_bytes);
  device.fill(list, 0, 0, list_bytes);
  seconds = run.wall_seconds([&] {
    device.write(list, 0, host_list.data(), list_bytes, false);
    device.write(position, 0, host_position.data(), vector_bytes, false);
    launch();
    device.read(force, 0, host_force.data(), vector_bytes, false);
  });
  run.sample({name + "_flops_pcie", "GFLOPS", true, true}, rates(gigaflops, seconds));
  run.sample({name + "_bw_pcie", "GB/s", true, true}, rates(gigabytes, seconds));
  check(name + "_pcie");
}

}  // namespace

void md(Run& run) {
  Problem problem = make_problem(run, run.pick<size_t>(2048, 73728, 1 << 20));
  // How many pairs are near enough is the same for every atom list; counted exactly, once.
  for (size_t i = 0; i < problem.atoms.size(); ++i) force_on(problem, i, &problem.pairs_within);
  forces<float>(run, problem, "sp", "md_sp");
  if (run.info().fp64) {
    forces<double>(run, problem, "dp", "md_dp");
  } else {
    for (const char* metric : {"md_dp_flops", "md_dp_bw", "md_dp_flops_pcie", "md_dp_bw_pcie"}) {
      run.skip(metric, "The device has no double precision.");
    }
  }
}

}  // namespace nm::workload::shoc
