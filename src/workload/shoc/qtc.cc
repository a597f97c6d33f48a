// QTC: quality threshold clustering. Every point grows a candidate cluster under a bound on its diameter, the largest
// is taken out, and again, until no two points are left that are near each other. Bound by the device's integer units
// and by how fast a block's threads agree; each round the host waits for the winner, as SHOC's does. SHOC reads
// distances from a matrix that it sends over first; here they are computed, from whole numbers, so that results are the
// same bit for bit everywhere.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <numbers>

#include "workload/shoc/programs.h"

namespace nm::workload::shoc {
namespace {

constexpr double kSide = 20;  // SHOC's square

// Groups of random size and radius, denser towards their middle, as SHOC draws them.
std::vector<uint32_t> random_points(std::mt19937_64& random, size_t count, double units) {
  const auto uniform = [&] { return static_cast<double>(random() >> 11) / 9007199254740992.0; };
  std::vector<uint32_t> points;
  while (points.size() < count) {
    const double x0 = uniform() * kSide, y0 = uniform() * kSide, radius = uniform() * kSide / 2;
    const size_t group = 1 + random() % std::max<size_t>(count / 30, 1);
    for (size_t left = group; left > 0 && points.size() < count;) {
      const double r = uniform() * radius, angle = uniform() * 2 * std::numbers::pi;
      const double x = x0 + r * std::cos(angle), y = y0 + r * std::sin(angle);
      if (x < 0 || x >= kSide || y < 0 || y >= kSide) continue;
      points.push_back(static_cast<uint32_t>(x * units) | static_cast<uint32_t>(y * units) << 16);
      --left;
    }
  }
  return points;
}

uint32_t squared(uint32_t a, uint32_t b) {
  const int dx = static_cast<int>(a & 0xffff) - static_cast<int>(b & 0xffff);
  const int dy = static_cast<int>(a >> 16) - static_cast<int>(b >> 16);
  return static_cast<uint32_t>(dx * dx + dy * dy);
}

// The candidate cluster of a seed, in the order in which its points come to it.
std::vector<int> grow(const std::vector<uint32_t>& points, int seed, uint32_t limit) {
  struct Candidate {
    int at;
    uint32_t reach;
  };
  std::vector<Candidate> candidates;
  for (int i = 0; i < static_cast<int>(points.size()); ++i) {
    if (i != seed && squared(points[i], points[seed]) <= limit) candidates.push_back({i, 0});
  }
  std::vector<int> members{seed};
  for (;;) {
    const uint32_t latest = points[members.back()];
    size_t best = candidates.size();
    for (size_t k = 0; k < candidates.size(); ++k) {
      candidates[k].reach = std::max(candidates[k].reach, squared(points[candidates[k].at], latest));
      if (best == candidates.size() || candidates[k].reach < candidates[best].reach) best = k;
    }
    if (best == candidates.size() || candidates[best].reach > limit) return members;
    members.push_back(candidates[best].at);
    // In order, and without those that are too far for good.
    candidates.erase(candidates.begin() + static_cast<ptrdiff_t>(best));
    std::erase_if(candidates, [&](const Candidate& c) { return c.reach > limit; });
  }
}

// Follows the device round by round. Checks each winner and its members, and of the other seeds' sizes as many as
// asked.
class Reference {
 public:
  Reference(std::vector<uint32_t> points, uint32_t limit) : points_(std::move(points)), limit_(limit) {
    for (size_t i = 0; i < points_.size(); ++i) names_.push_back(static_cast<int>(i));
    clusters_.assign(points_.size(), -1);
  }

  // `sizes` of every seed by the device; `key` its winner.
  void round(const std::vector<int>& sizes, int key, size_t samples, std::mt19937_64& random) {
    const auto n = static_cast<int>(points_.size());
    const int seed = static_cast<int>(std::max_element(sizes.begin(), sizes.end()) - sizes.begin());
    wrong_ += key != ((n - sizes[seed]) << 15 | seed);
    for (size_t i = 0; i < std::min(samples, points_.size()); ++i) {
      const int other = samples >= points_.size() ? static_cast<int>(i) : static_cast<int>(random() % points_.size());
      wrong_ += static_cast<int>(grow(points_, other, limit_).size()) != sizes[other];
    }
    const std::vector<int> members = grow(points_, seed, limit_);
    wrong_ += static_cast<int>(members.size()) != sizes[seed];
    for (const int member : members) clusters_[names_[member]] = rounds_, names_[member] = -1;
    ++rounds_;
    std::vector<uint32_t> points;
    for (size_t i = 0; i < points_.size(); ++i) {
      if (names_[i] >= 0) points.push_back(points_[i]);
    }
    points_ = std::move(points);
    std::erase(names_, -1);
  }

  // Also counts the points that `clusters` has elsewhere.
  double wrong(const std::vector<int>& clusters) const {
    size_t count = wrong_;
    for (size_t i = 0; i < clusters.size(); ++i) count += clusters[i] != clusters_[i];
    return static_cast<double>(count);
  }
  const std::vector<int>& clusters() const { return clusters_; }

 private:
  std::vector<uint32_t> points_;
  uint32_t limit_;
  std::vector<int> names_, clusters_;
  size_t wrong_ = 0;
  int rounds_ = 0;
};

}  // namespace

void qtc(Run& run) {
  using Clock = std::chrono::steady_clock;
  device::Device& device = run.device();
  // SHOC's size 4 has a limit of 4 on the diameter; its size 5 has 26 Ki points.
  const int count = run.pick(320, 16 << 10, 26 << 10);
  // How finely a point's place is known. Coarsely at ci: many distances are equal, and their order matters.
  const double units = run.pick(8, 1024, 1024), diameter = run.pick(4, 4, 3) * units;
  const auto limit = static_cast<uint32_t>(diameter * diameter);
  // The small one has several candidates a thread, and some beyond its shared memory, with few points too.
  const uint32_t threads = run.pick(32, 256, 256);
  const char* const variant = run.pick("small", "large", "large");
  const auto blocks = static_cast<uint32_t>(std::clamp(8 * run.info().multiprocessors, 1, count));
  const size_t bytes = static_cast<size_t>(count) * 4;

  const std::vector<uint32_t> points = random_points(run.random(), static_cast<size_t>(count), units);
  std::vector<int> names(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) names[i] = i;
  const device::Kernel candidates = device.kernel("qtc", variant, "qtc_candidates");
  const device::Kernel take = device.kernel("qtc", variant, "qtc_take");
  const device::Buffer device_points[] = {device.allocate(bytes), device.allocate(bytes)};
  const device::Buffer device_names[] = {device.allocate(bytes), device.allocate(bytes)};
  const device::Buffer device_clusters = device.allocate(bytes), device_sizes = device.allocate(bytes);
  const device::Buffer winner = device.allocate(4), spill = device.allocate(2 * bytes * blocks);

  Reference reference(points, limit);
  std::vector<int> clusters(static_cast<size_t>(count)), sizes;
  std::vector<double> kernel_seconds, seconds;
  size_t different = 0;
  for (int pass = -1; pass < run.passes(); ++pass) {
    const auto begin = Clock::now();
    double in_kernel = 0;
    device.write(device_points[0], 0, points.data(), bytes, false);
    device.write(device_names[0], 0, names.data(), bytes, false);
    device.fill(device_clusters, 0, 0xffffffff, bytes);
    for (int round = 0, n = count; n > 0; ++round) {
      const device::Buffer &now = device_points[round % 2], &left = device_points[1 - round % 2];
      const device::Buffer &now_names = device_names[round % 2], &left_names = device_names[1 - round % 2];
      device.fill(winner, 0, 0x7fffffff, 4);
      const auto kernel_begin = device.mark();
      device.launch(candidates, {std::min(blocks, static_cast<uint32_t>(n))}, {threads}, now, n, limit, winner,
                    device_sizes, spill, 2 * count);
      const auto kernel_end = device.mark();
      device.launch(take, {1}, {threads}, now, now_names, n, limit, winner, left, left_names, device_clusters, round,
                    spill);
      int key = 0;
      device.read(winner, 0, &key, 4);
      in_kernel += device.seconds_between(*kernel_begin, *kernel_end);
      const int size = n - (key >> 15);
      if (pass < 0) {
        sizes.resize(static_cast<size_t>(n));
        device.read(device_sizes, 0, sizes.data(), sizes.size() * 4);
        reference.round(sizes, key, run.pick<size_t>(count, 1, 1), run.random());
      }
      // One point: so are all that are left, as SHOC has it.
      if (size <= 1) break;
      n -= size;
    }
    device.read(device_clusters, 0, clusters.data(), bytes);
    if (pass < 0) {
      run.check("rounds and points of qtc that are wrong", reference.wrong(clusters), 0);
      continue;
    }
    seconds.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
    kernel_seconds.push_back(in_kernel);
    different += clusters != reference.clusters();
  }
  run.sample({"qtc", "s", false, true}, seconds);
  run.sample({"qtc_kernel", "s", false, false}, kernel_seconds);
  run.check("passes of qtc with other clusters than the first", static_cast<double>(different), 0);
}

}  // namespace nm::workload::shoc
