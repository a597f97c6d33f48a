// MolecularDynamics: water with charges in a periodic box, as LAMMPS computes its rhodopsin benchmark: 32,000 atoms,
// near forces from lists of neighbours, far forces on a grid, bonds and angles; 1 to 8 threads of the host share the
// device, each with a share of the atoms (md_team.h). Near forces are bound by arithmetic and loads from the second
// cache; a step as a whole by everything: the host's own part, half a megabyte there and back for every thread, and
// waiting for it. The papers choose it because it alone uses several cores of the host.
//
// `md_steps` is timesteps by second, a point for every number of threads.
#include <algorithm>
#include <cmath>

#include "workload/apps/md_team.h"
#include "workload/apps/programs.h"

namespace nm::workload::apps {
namespace {

constexpr double kStep = 0.5;  // fs

// Forces of the device against a direct sum over all pairs and many waves, of every `every`-th atom; and the energy,
// where that is every one.
void check_forces(Run& run, const MdSystem& s, int every, double bound) {
  const auto n = static_cast<size_t>(s.atoms);
  MdDevice md(run.device(), s, 0, s.atoms, true);
  std::vector<Float4> atoms(n), near(n, {NAN, NAN, NAN, NAN}), far = near;
  for (int i = 0; i < s.atoms; ++i) atoms[static_cast<size_t>(i)] = device_atom(s, i);
  md.put(atoms.data());
  md.build();
  md.near();
  md.far();
  md.get_near(near.data());
  md.get_far(far.data());
  run.device().finish();
  md.check_overflow();
  std::vector<Vector3> springs(n);
  double energy = bonded(s, 0, s.molecules, springs.data()) + self_energy(s);
  // The springs themselves are no part of the comparison: only what bonded() takes back of the far forces. A system
  // with no such part tells what they are.
  MdSystem uncharged = s;
  uncharged.alpha = 0;
  std::vector<Vector3> only_springs(n);
  energy -= bonded(uncharged, 0, s.molecules, only_springs.data());

  const MdForces direct = direct_forces(s, every);
  double difference = 0, length = 0;
  for (size_t i = 0; i < n; ++i) {
    energy += static_cast<double>(near[i].w) + static_cast<double>(far[i].w);
    if (i % static_cast<size_t>(every) != 0) continue;
    const Vector3 device{static_cast<double>(near[i].x) + static_cast<double>(far[i].x),
                         static_cast<double>(near[i].y) + static_cast<double>(far[i].y),
                         static_cast<double>(near[i].z) + static_cast<double>(far[i].z)};
    const Vector3 right = direct.force[i / static_cast<size_t>(every)];
    const Vector3 d = device + springs[i] - only_springs[i] - right;
    difference += dot(d, d);
    length += dot(right, right);
  }
  run.check("forces", std::sqrt(difference / length), bound);
  // Each molecule's energy is of the order of 10 kcal/mol.
  if (every == 1) {
    run.check("energy of a molecule, kcal/mol", std::abs(energy - direct.energy) / s.molecules, 0.05);
  }
}

// Near and far forces by themselves, by the device's clock.
void measure_kernels(Run& run, const MdSystem& s) {
  device::Device& device = run.device();
  MdDevice md(device, s, 0, s.atoms, true);
  std::vector<Float4> atoms;
  for (int i = 0; i < s.atoms; ++i) atoms.push_back(device_atom(s, i));
  md.put(atoms.data());
  md.build();
  device.finish();
  const double pairs = md.listed_pairs();
  const int repeats = run.pick(1, 20, 20);
  const auto repeated = [&](auto work) {
    return run.device_seconds([&] {
      for (int i = 0; i < repeats; ++i) work();
    });
  };
  run.sample({"md_near", "Gpairs/s"}, rates(pairs * repeats / 1e9, repeated([&] { md.near(); })));
  run.sample({"md_far", "us", false}, scaled(1e6 / repeats, repeated([&] { md.far(); })));
  run.sample({"md_neighbours", "us", false}, scaled(1e6 / repeats, repeated([&] { md.build(); })));
  md.check_overflow();
}

void check_conserved(Run& run, const std::string& of, const MdRun& md) {
  // Velocity Verlet conserves an energy that differs from this one by the square of step times frequency, which for the
  // bonds is a twentieth; they hold a ninth of the kinetic energy. Splines do not conserve momentum quite: 0.0014 were
  // seen after 160 steps of 216 molecules.
  double worst = 0;
  for (const double energy : md.energy) {
    const double off = std::abs(energy - md.energy[0]) / md.kinetic;
    worst = off <= worst ? worst : std::isnan(off) ? INFINITY : off;
  }
  run.check("energy conserved" + of, worst, 5e-3);
  Vector3 momentum;
  double sum = 0;
  for (size_t i = 0; i < md.last.velocity.size(); ++i) {
    const Vector3 p = kMass[i % 3] * md.last.velocity[i];
    momentum = momentum + p;
    sum += std::sqrt(dot(p, p));
  }
  run.check("momentum conserved" + of, std::sqrt(dot(momentum, momentum)) / sum, 5e-3);
}

}  // namespace

void molecular_dynamics(Run& run) {
  const OpenDevice open = [&] { return run.open_another(); };
  const bool ci = run.size() == Size::ci;
  MdSystem start = ci ? water(6, 5.1, 1.0, 32, run.random()) : water(22, 10, 2, 128, run.random());
  // A lattice of molecules turned by chance is far from liquid: let it fall, and take out the heat.
  start = run_team(open, run.device(), start, 1, 1, ci ? 5 : 300, kStep, 300).last;
  // Cubic splines err by the fourth power of alpha times the grid's spacing. That is 0.35 in the small box, where four
  // thousandths are seen (and four ten thousandths on a grid of half the spacing), 0.17 in the large one.
  check_forces(run, start, ci ? 1 : 161, ci ? 8e-3 : 5e-4);
  measure_kernels(run, start);

  const int steps = run.pick(2, 30, 50);
  std::vector<Vector3> alone;
  for (const int threads : ci ? std::vector<int>{1, 2} : std::vector<int>{1, 2, 4, 8}) {
    MdRun md = run_team(open, run.device(), start, threads, run.passes() + 1, steps, kStep, 0);
    md.seconds.erase(md.seconds.begin());  // warms up
    const std::string name = std::string("/") + std::to_string(threads), of = ", threads: " + std::to_string(threads);
    run.sample({"md_steps" + name, "timesteps/s", true, true, "md_steps", static_cast<double>(threads), "threads"},
               rates(steps, md.seconds));
    check_conserved(run, of, md);

    // The same first steps, however many compute them: sums in other orders, and what chaos makes of it in some steps.
    if (alone.empty()) {
      alone = md.early;
      continue;
    }
    double worst = 0;
    for (size_t i = 0; i < alone.size(); ++i) {
      const Vector3 d = md.early[i] - alone[i];
      const double off = std::sqrt(dot(d, d));
      worst = off <= worst ? worst : std::isnan(off) ? INFINITY : off;
    }
    run.check("positions as with one thread" + of, worst, 1e-5);
  }
}

}  // namespace nm::workload::apps
