#include "workload/apps/md_system.h"

#include <cmath>
#include <complex>

namespace nm::workload::apps {
namespace {

constexpr double kSpacing = 3.104;  // of molecules: a gram a millilitre
constexpr double kBondSpring = 1059.162, kBondLength = 1.012;
constexpr double kAngleSpring = 75.90, kAngle = 113.24 * M_PI / 180;

double uniform(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

double gaussian(std::mt19937_64& random) {
  return std::sqrt(-2 * std::log(1 - uniform(random))) * std::cos(2 * M_PI * uniform(random));
}

Vector3 direction(std::mt19937_64& random) {
  const Vector3 v{gaussian(random), gaussian(random), gaussian(random)};
  return (1 / std::sqrt(dot(v, v))) * v;
}

double nearest(double d, double box) { return d - box * std::round(d / box); }

}  // namespace

MdSystem water(int side, double cutoff, double skin, int grid, std::mt19937_64& random) {
  MdSystem s;
  s.molecules = side * side * side;
  s.atoms = 3 * s.molecules;
  s.box = kSpacing * side;
  s.cutoff = cutoff;
  s.skin = skin;
  s.alpha = 3.1 / cutoff;  // erfc(3.1) is 1e-5
  s.grid = grid;
  for (int m = 0; m < s.molecules; ++m) {
    const Vector3 centre{kSpacing * (m % side + 0.5), kSpacing * (m / side % side + 0.5),
                         kSpacing * (m / side / side + 0.5)};
    const Vector3 along = direction(random);
    Vector3 other = direction(random);
    other = other - dot(other, along) * along;
    other = (1 / std::sqrt(dot(other, other))) * other;
    s.position.push_back(centre);
    for (const double turn : {0.5, -0.5}) {
      s.position.push_back(centre + kBondLength * (std::cos(turn * kAngle) * along + std::sin(turn * kAngle) * other));
    }
  }
  Vector3 momentum;
  double mass = 0;
  for (int i = 0; i < s.atoms; ++i) {
    const double speed = std::sqrt(kBoltzmann * 300 / kMass[i % 3] * kAccelerate);
    s.velocity.push_back({speed * gaussian(random), speed * gaussian(random), speed * gaussian(random)});
    momentum = momentum + kMass[i % 3] * s.velocity.back();
    mass += kMass[i % 3];
  }
  for (Vector3& v : s.velocity) v = v - (1 / mass) * momentum;
  return s;
}

double bonded(const MdSystem& s, int first, int count, Vector3* force) {
  double energy = 0;
  for (int m = first; m < first + count; ++m) {
    const Vector3* r = &s.position[static_cast<size_t>(3 * m)];
    Vector3* f = force + 3 * (m - first);
    const Vector3 arm[2] = {r[1] - r[0], r[2] - r[0]};
    double length[2];
    for (size_t b = 0; b < 2; ++b) {
      length[b] = std::sqrt(dot(arm[b], arm[b]));
      const double stretch = length[b] - kBondLength;
      energy += 0.5 * kBondSpring * stretch * stretch;
      const Vector3 pull = (kBondSpring * stretch / length[b]) * arm[b];
      f[0] = f[0] + pull;
      f[b + 1] = f[b + 1] - pull;
    }
    const double cosine = dot(arm[0], arm[1]) / (length[0] * length[1]);
    const double bend = std::acos(cosine) - kAngle, sine = std::sqrt(1 - cosine * cosine);
    energy += 0.5 * kAngleSpring * bend * bend;
    Vector3 sum;
    for (size_t b = 0; b < 2; ++b) {
      // Across the arm, in the molecule's plane.
      const Vector3 across = (1 / length[1 - b]) * arm[1 - b] - (cosine / length[b]) * arm[b];
      const Vector3 push = (kAngleSpring * bend / (sine * length[b])) * across;
      f[b + 1] = f[b + 1] + push;
      sum = sum + push;
    }
    f[0] = f[0] - sum;
    for (int a = 0; a < 3; ++a) {
      for (int b = a + 1; b < 3; ++b) {
        const Vector3 d = r[a] - r[b];
        const double square = dot(d, d), distance = std::sqrt(square), product = kCoulomb * kCharge[a] * kCharge[b];
        const double inner = std::erf(s.alpha * distance) / distance;
        energy -= product * inner;
        const double bell = 2 / std::sqrt(M_PI) * s.alpha * std::exp(-s.alpha * s.alpha * square);
        const Vector3 pull = (product * (inner - bell) / square) * d;
        f[a] = f[a] - pull;
        f[b] = f[b] + pull;
      }
    }
  }
  return energy;
}

double self_energy(const MdSystem& s) {
  double squares = 0;
  for (int i = 0; i < s.atoms; ++i) squares += kCharge[i % 3] * kCharge[i % 3];
  return -kCoulomb * s.alpha / std::sqrt(M_PI) * squares;
}

MdForces direct_forces(const MdSystem& s, int every) {
  using Complex = std::complex<double>;
  const auto n = static_cast<size_t>(s.atoms), stride = static_cast<size_t>(every);
  MdForces out;
  out.force.resize((n + stride - 1) / stride);
  const double alpha = 4.0 / (s.box / 2);  // all that the nearest images hold: erfc(4) is 1.5e-8
  const double far_sixth = std::pow(kSigma / s.cutoff, 6);
  const double end_energy = 4 * kEpsilon * (far_sixth * far_sixth - far_sixth);
  const double end_force = 4 * kEpsilon * (12 * far_sixth * far_sixth - 6 * far_sixth) / s.cutoff;
  for (size_t i = 0; i < n; i += stride) {
    Vector3& force = out.force[i / stride];
    for (size_t j = 0; j < n; ++j) {
      if (j == i) continue;
      const Vector3 apart = s.position[i] - s.position[j];
      const Vector3 d{nearest(apart.x, s.box), nearest(apart.y, s.box), nearest(apart.z, s.box)};
      const double square = dot(d, d), r = std::sqrt(square), product = kCoulomb * kCharge[i % 3] * kCharge[j % 3];
      const bool same = i / 3 == j / 3;
      const double bell = 2 / std::sqrt(M_PI) * alpha * std::exp(-alpha * alpha * square);
      // Within a molecule charges do not act, though the waves below count them.
      const double near = same ? -std::erf(alpha * r) / r : std::erfc(alpha * r) / r;
      double energy = product * near, push = product * (near + bell) / r;
      if (!same && r < s.cutoff && i % 3 == 0 && j % 3 == 0) {
        const double sixth = std::pow(kSigma / r, 6);
        energy += 4 * kEpsilon * (sixth * sixth - sixth) - end_energy + end_force * (r - s.cutoff);
        push += 4 * kEpsilon * (12 * sixth * sixth - 6 * sixth) / r - end_force;
      }
      out.energy += 0.5 * energy;
      force = force + (push / r) * d;
    }
  }

  // Waves, one of every pair k and -k. An atom's waves along one axis are powers of the first.
  const int most = static_cast<int>(std::ceil(alpha * s.box / M_PI * 4.2));
  const double unit = 2 * M_PI / s.box, volume = s.box * s.box * s.box;
  std::vector<std::vector<Complex>> along[3];
  for (auto& axis : along) axis.assign(static_cast<size_t>(most) + 1, std::vector<Complex>(n, 1.0));
  for (size_t i = 0; i < n; ++i) {
    const double phase[3] = {unit * s.position[i].x, unit * s.position[i].y, unit * s.position[i].z};
    for (size_t axis = 0; axis < 3; ++axis) {
      for (size_t k = 1; k <= static_cast<size_t>(most); ++k) {
        along[axis][k][i] = std::polar(1.0, static_cast<double>(k) * phase[axis]);
      }
    }
  }
  const auto power = [&](size_t axis, int k, size_t i) {
    const Complex c = along[axis][static_cast<size_t>(std::abs(k))][i];
    return k < 0 ? std::conj(c) : c;
  };
  std::vector<Complex> plane(n);
  for (int kx = 0; kx <= most; ++kx) {
    for (int ky = kx == 0 ? 0 : -most; ky <= most; ++ky) {
      for (size_t i = 0; i < n; ++i) plane[i] = kCharge[i % 3] * power(0, kx, i) * power(1, ky, i);
      for (int kz = kx == 0 && ky == 0 ? 1 : -most; kz <= most; ++kz) {
        if (kx * kx + ky * ky + kz * kz > most * most) continue;
        const Vector3 k{unit * kx, unit * ky, unit * kz};
        const double square = dot(k, k);
        const double weight = 4 * M_PI / volume * kCoulomb * std::exp(-square / (4 * alpha * alpha)) / square;
        Complex sum = 0;
        for (size_t i = 0; i < n; ++i) sum += plane[i] * power(2, kz, i);
        out.energy += weight * std::norm(sum);
        for (size_t i = 0; i < n; i += stride) {
          Vector3& force = out.force[i / stride];
          force = force + (2 * weight * (std::conj(sum) * plane[i] * power(2, kz, i)).imag()) * k;
        }
      }
    }
  }
  double squares = 0;
  for (size_t i = 0; i < n; ++i) squares += kCharge[i % 3] * kCharge[i % 3];
  out.energy -= kCoulomb * alpha / std::sqrt(M_PI) * squares;
  return out;
}

}  // namespace nm::workload::apps
