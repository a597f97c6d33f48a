// Water as MolecularDynamics has it: three atoms with charges, bonds and an angle that are springs (SPC/Fw), and a
// Lennard-Jones shell about the oxygen. Lengths in Å, energies in kcal/mol, masses in u, times in fs.
#pragma once

#include <random>
#include <vector>

namespace nm::workload::apps {

struct Vector3 {
  double x = 0, y = 0, z = 0;
};
inline Vector3 operator+(Vector3 a, Vector3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
inline Vector3 operator-(Vector3 a, Vector3 b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
inline Vector3 operator*(double s, Vector3 a) { return {s * a.x, s * a.y, s * a.z}; }
inline double dot(Vector3 a, Vector3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }

constexpr double kCoulomb = 332.06371;         // kcal Å / (mol e²)
constexpr double kAccelerate = 4.184e-4;       // (kcal/mol/Å) / u in Å/fs²
constexpr double kBoltzmann = 1.987204259e-3;  // kcal/mol/K
constexpr double kEpsilon = 0.1554253, kSigma = 3.165492;
// Some of the oxygen's mass is the hydrogens', which slows their bonds: a step can be twice as long.
constexpr double kMass[3] = {10.0154, 4.0, 4.0};
constexpr double kCharge[3] = {-0.82, 0.41, 0.41};

struct MdSystem {
  int molecules = 0, atoms = 0;
  double box = 0, cutoff = 0, skin = 0;
  double alpha = 0;  // where the charges' potential is divided: erfc(alpha r) / r is near, erf(alpha r) / r is far
  int grid = 0;      // points a side of the far part's grid
  std::vector<Vector3> position, velocity;
};

// side³ molecules on a lattice, turned by chance, at 300 K.
MdSystem water(int side, double cutoff, double skin, int grid, std::mt19937_64& random);

// Springs of `count` molecules from `first` on, and what the grid must not have counted within a molecule. Adds to
// `force`, which begins with the first of them; returns the energy.
double bonded(const MdSystem& system, int first, int count, Vector3* force);

// What the far part counts of every charge with itself.
double self_energy(const MdSystem& system);

// All forces but the springs' on every `every`-th atom, in double precision: every pair within the cutoff, and a sum
// over waves with another division of the charges' potential than the system's, so that the division itself is checked.
struct MdForces {
  std::vector<Vector3> force;  // of atoms 0, every, 2 every, …
  double energy = 0;           // of all; only where every is 1
};
MdForces direct_forces(const MdSystem& system, int every);

}  // namespace nm::workload::apps
