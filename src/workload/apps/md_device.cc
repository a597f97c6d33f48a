#include "workload/apps/md_device.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace nm::workload::apps {
namespace {

constexpr uint32_t kThreads = 128, kLanes = 8, kPerBlock = kThreads / kLanes, kLines = 8;

uint32_t blocks_for(int work, uint32_t per_block) { return (static_cast<uint32_t>(work) + per_block - 1) / per_block; }

// By how much a wave of charges on the grid makes a wave of the potential: Coulomb's law for the far part, and back
// what the splines blur (Essmann and others, 1995).
std::vector<float> influence_of(const MdSystem& s) {
  const int points = s.grid;
  const auto folded = [&](int m) { return m <= points / 2 ? m : m - points; };
  const auto sharpen = [&](int m) {
    const double blur = (4 + 2 * std::cos(2 * M_PI * m / points)) / 6;
    return 1 / (blur * blur);
  };
  std::vector<float> influence;
  const double volume = s.box * s.box * s.box;
  for (int z = 0; z < points; ++z) {
    for (int y = 0; y < points; ++y) {
      for (int x = 0; x < points; ++x) {
        const double mx = folded(x) / s.box, my = folded(y) / s.box, mz = folded(z) / s.box;
        const double square = mx * mx + my * my + mz * mz;
        const double law =
            square > 0 ? kCoulomb / (M_PI * volume) * std::exp(-M_PI * M_PI * square / (s.alpha * s.alpha)) / square
                       : 0;
        influence.push_back(static_cast<float>(law * sharpen(x) * sharpen(y) * sharpen(z)));
      }
    }
  }
  return influence;
}

}  // namespace

MdDevice::MdDevice(device::Device& device, const MdSystem& s, int first, int own, bool far)
    : device_(device), atoms_(s.atoms), first_(first), own_(own), grid_(s.grid) {
  const double reach = s.cutoff + s.skin, density = s.atoms / (s.box * s.box * s.box);
  cells_ = static_cast<int>(s.box / reach);
  if (cells_ < 3) throw device::Failure("The box of MolecularDynamics is smaller than three times its reach.");
  const double cell = s.box / cells_;
  // Twice and half more than the mean; check_overflow says whether it was enough.
  cell_capacity_ = static_cast<int>(2 * density * cell * cell * cell) + 32;
  capacity_ = (static_cast<int>(1.5 * density * 4 / 3 * M_PI * reach * reach * reach) + 32) / 8 * 8;
  box_ = static_cast<float>(s.box);
  reach_squared_ = static_cast<float>(reach * reach);
  cutoff_squared_ = static_cast<float>(s.cutoff * s.cutoff);
  alpha_ = static_cast<float>(s.alpha);
  // The shell's energy and force end at zero: energy - shift_energy + shift_force * r.
  const double sixth = std::pow(kSigma / s.cutoff, 6);
  const double end_force = 4 * kEpsilon * (12 * sixth * sixth - 6 * sixth) / s.cutoff;
  shift_force_ = static_cast<float>(end_force);
  shift_energy_ = static_cast<float>(4 * kEpsilon * (sixth * sixth - sixth) + end_force * s.cutoff);

  const auto all = static_cast<size_t>(s.atoms), mine = static_cast<size_t>(own);
  const auto bins = static_cast<size_t>(cells_ * cells_ * cells_);
  positions_ = device.allocate(all * sizeof(Float4));
  counts_ = device.allocate(bins * sizeof(int));
  bins_ = device.allocate(bins * static_cast<size_t>(cell_capacity_) * sizeof(int));
  list_ = device.allocate(mine * static_cast<size_t>(capacity_) * sizeof(int));
  lengths_ = device.allocate(mine * sizeof(int));
  overflow_ = device.allocate(sizeof(int));
  near_ = device.allocate(mine * sizeof(Float4));
  device.fill(overflow_, 0, 0, sizeof(int));
  bin_ = device.kernel("molecules", "sp", "bin");
  neighbours_ = device.kernel("molecules", "sp", "neighbours");
  pairs_ = device.kernel("molecules", "sp", "pairs");
  if (!far) return;

  if (grid_ > 128 || grid_ < 8 || (grid_ & (grid_ - 1)) != 0) {
    throw device::Failure("MolecularDynamics has transforms for 8, 16, 32, 64 and 128 points a side.");
  }
  const size_t points = static_cast<size_t>(grid_) * static_cast<size_t>(grid_) * static_cast<size_t>(grid_);
  charges_ = device.allocate(points * sizeof(int));
  field_ = device.allocate(points * 2 * sizeof(float));
  potential_ = device.allocate(points * sizeof(float));
  far_ = device.allocate(all * sizeof(Float4));
  influence_ = device.upload(influence_of(s));
  std::vector<float> turn;
  for (int k = 0; k < grid_ / 2; ++k) {
    turn.push_back(static_cast<float>(std::cos(2 * M_PI * k / grid_)));
    turn.push_back(static_cast<float>(-std::sin(2 * M_PI * k / grid_)));
  }
  turn_ = device.upload(turn);
  spread_ = device.kernel("molecules", "sp", "spread");
  from_charges_ = device.kernel("molecules", "sp", "from_charges");
  along_y_ = device.kernel("molecules", "sp", "along_y");
  solve_ = device.kernel("molecules", "sp", "solve");
  to_potential_ = device.kernel("molecules", "sp", "to_potential");
  interpolate_ = device.kernel("molecules", "sp", "interpolate");
}

void MdDevice::put(const Float4* atoms) { device_.write(positions_, 0, atoms, positions_.bytes(), false); }

void MdDevice::build() {
  const float scale = static_cast<float>(cells_) / box_;
  device_.fill(counts_, 0, 0, counts_.bytes());
  device_.launch(bin_, {blocks_for(atoms_, kThreads)}, {kThreads}, positions_, counts_, bins_, overflow_, atoms_,
                 cells_, cell_capacity_, scale);
  device_.launch(neighbours_, {blocks_for(own_, kPerBlock)}, {kThreads}, positions_, counts_, bins_, list_, lengths_,
                 overflow_, first_, own_, cells_, cell_capacity_, capacity_, scale, box_, reach_squared_);
}

void MdDevice::near() {
  device_.launch(pairs_, {blocks_for(own_, kPerBlock)}, {kThreads}, positions_, list_, lengths_, near_, first_, own_,
                 capacity_, box_, cutoff_squared_, static_cast<float>(kCoulomb), alpha_,
                 static_cast<float>(4 * kEpsilon), static_cast<float>(kSigma * kSigma), shift_energy_, shift_force_);
}

void MdDevice::far() {
  const auto points = static_cast<uint32_t>(grid_);
  const uint32_t groups = points / kLines, lines = points * points / kLines;
  const int bits = std::countr_zero(points);
  const float scale = static_cast<float>(grid_) / box_;
  device_.fill(charges_, 0, 0, charges_.bytes());
  device_.launch(spread_, {blocks_for(4 * atoms_, kThreads)}, {kThreads}, positions_, charges_, atoms_, grid_, scale);
  device_.launch(from_charges_, {lines}, {kThreads}, charges_, field_, turn_, bits);
  device_.launch(along_y_, {groups, points}, {kThreads}, field_, turn_, bits, 1.0f);
  device_.launch(solve_, {groups, points}, {kThreads}, field_, influence_, turn_, bits);
  device_.launch(along_y_, {groups, points}, {kThreads}, field_, turn_, bits, -1.0f);
  device_.launch(to_potential_, {lines}, {kThreads}, field_, potential_, turn_, bits);
  device_.launch(interpolate_, {blocks_for(atoms_, kThreads)}, {kThreads}, positions_, potential_, far_, atoms_, grid_,
                 scale);
}

void MdDevice::get_near(Float4* forces) { device_.read(near_, 0, forces, near_.bytes(), false); }
void MdDevice::get_far(Float4* forces) { device_.read(far_, 0, forces, far_.bytes(), false); }

void MdDevice::check_overflow() {
  if (device_.download<int>(overflow_, 1)[0] != 0) {
    throw device::Failure("A list of MolecularDynamics was too short for its atoms: they are denser than water.");
  }
}

double MdDevice::listed_pairs() {
  double sum = 0;
  for (const int length : device_.download<int>(lengths_, static_cast<size_t>(own_))) sum += length;
  return sum;
}

Float4 device_atom(const MdSystem& s, int atom) {
  const Vector3 r = s.position[static_cast<size_t>(atom)];
  const auto box = static_cast<float>(s.box);
  const auto wrap = [&](double x) {
    const auto in = static_cast<float>(x - s.box * std::floor(x / s.box));
    return in < box ? in : 0.0f;  // rounding may reach the end
  };
  return {wrap(r.x), wrap(r.y), wrap(r.z), static_cast<float>(kCharge[atom % 3])};
}

}  // namespace nm::workload::apps
