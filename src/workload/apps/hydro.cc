// Hydro: the Sedov blast by explicit Lagrangian hydrodynamics on hexahedra, in double precision: what LULESH, a proxy
// of shock hydrodynamics codes, computes, cycle for cycle, so that its published energies of the origin are the check.
// About a kilobyte moves for every element and cycle. On a large mesh the nodes' kernel is bound by memory and the
// material's nearly; forces and kinematics need so many registers that few threads hide the latency of their
// arithmetic. A small mesh is bound by the five launches of a cycle. The papers measure 30 to 150 elements a side.
//
// `hydro_fom` is LULESH's figure of merit, elements times cycles by second, with everything on the device. `_pcie` and
// `hydro_elapsed` are for a whole run as an application makes it: the state goes there, the step's length comes back
// every cycle, the solution comes back at the end.
#include <algorithm>
#include <chrono>
#include <cmath>

#include "workload/apps/hydro_device.h"
#include "workload/apps/hydro_mesh.h"
#include "workload/apps/hydro_reference.h"
#include "workload/apps/programs.h"

namespace nm::workload::apps {
namespace {

// What LULESH 2.0 documents for whole runs; the energy to seven digits.
struct Published {
  int side, cycles;
  double origin;
};
constexpr Published kPublished[] = {{5, 72, 7.853665e+03},    {10, 231, 2.720531e+04},  {30, 932, 2.025075e+05},
                                    {45, 1477, 4.234875e+05}, {50, 1662, 5.124778e+05}, {70, 2402, 9.417145e+05},
                                    {90, 3145, 1.482403e+06}};

// Internal and kinetic energy, by that of the beginning.
double total_energy(const HydroMesh& mesh, const HydroSolution& s) {
  double sum = 0;
  for (size_t e = 0; e < s.energy.size(); ++e) sum += s.energy[e] * mesh.volume[e];
  for (size_t i = 0; i < s.vx.size(); ++i) {
    sum += 0.5 * mesh.mass[i] * (s.vx[i] * s.vx[i] + s.vy[i] * s.vy[i] + s.vz[i] * s.vz[i]);
  }
  return sum / (mesh.blast * mesh.volume[0]);
}

// The blast knows no difference between x, y and z; the kernels treat them in different orders. LULESH asks for 1e-8 of
// the energies, which are up to the origin's; positions are of the order of 1.
void check_symmetry(Run& run, const std::string& name, const HydroMesh& mesh, const HydroSolution& s) {
  double worst = 0, worst_energy = 0;
  const auto see = [](double& most, double d) { most = d <= most ? most : std::isnan(d) ? INFINITY : d; };
  for (int k = 0; k <= mesh.side; ++k) {
    for (int j = 0; j <= mesh.side; ++j) {
      for (int i = 0; i <= mesh.side; ++i) {
        const auto here = static_cast<size_t>(mesh.node(i, j, k));
        see(worst, std::abs(s.x[here] - s.y[static_cast<size_t>(mesh.node(j, i, k))]));
        see(worst, std::abs(s.x[here] - s.z[static_cast<size_t>(mesh.node(k, j, i))]));
        if (i == mesh.side || j == mesh.side || k == mesh.side) continue;
        const double energy = s.energy[static_cast<size_t>(mesh.element(i, j, k))];
        see(worst_energy, std::abs(energy - s.energy[static_cast<size_t>(mesh.element(j, i, k))]));
        see(worst_energy, std::abs(energy - s.energy[static_cast<size_t>(mesh.element(k, j, i))]));
      }
    }
  }
  run.check("symmetry of positions" + name, worst, 1e-8);
  run.check("symmetry of energies" + name, worst_energy / s.energy[0], 1e-8);
}

// The first elements of the device's mesh, and all others at rest: a blast goes no farther than the reference's mesh in
// so few cycles, or the reference's own rim is not at rest.
void check_with_reference(Run& run, const std::string& name, const HydroMesh& mesh, const HydroSolution& s, int cycles,
                          int box) {
  const HydroMesh small = hydro_mesh(box, mesh.side);
  HydroReference reference(small);
  for (int c = 0; c < cycles; ++c) reference.cycle();
  std::vector<double> x, vx, energy, volume;
  bool rim_rests = true, outside_rests = true;
  for (int k = 0; k < mesh.side; ++k) {
    for (int j = 0; j < mesh.side; ++j) {
      for (int i = 0; i < mesh.side; ++i) {
        const auto e = static_cast<size_t>(mesh.element(i, j, k)), node = static_cast<size_t>(mesh.node(i, j, k));
        if (std::max({i, j, k}) < box) {
          energy.push_back(s.energy[e]);
          volume.push_back(s.volume[e]);
          x.push_back(s.x[node]);
          vx.push_back(s.vx[node]);
          const auto same = static_cast<size_t>(small.element(i, j, k));
          if (box < mesh.side && std::max({i, j, k}) == box - 1) rim_rests = rim_rests && reference.energy[same] == 0;
        } else {
          outside_rests = outside_rests && s.energy[e] == 0 && s.volume[e] == 1 && s.vx[node] == 0;
        }
      }
    }
  }
  std::vector<double> reference_x, reference_vx;
  for (int k = 0; k < box; ++k) {
    for (int j = 0; j < box; ++j) {
      for (int i = 0; i < box; ++i) {
        const auto node = static_cast<size_t>(small.node(i, j, k));
        reference_x.push_back(reference.x[node]);
        reference_vx.push_back(reference.vx[node]);
      }
    }
  }
  // The same scheme in another order of operations: rounding, grown by some tens of cycles through a shock.
  run.check("energies" + name, norm_error(energy, reference.energy), 1e-9);
  run.check("volumes" + name, norm_error(volume, reference.volume), 1e-9);
  run.check("positions" + name, norm_error(x, reference_x), 1e-9);
  run.check("velocities" + name, norm_error(vx, reference_vx), 1e-9);
  if (box < mesh.side) {
    run.check("the reference's rim rests" + name, rim_rests);
    run.check("beyond the blast all rests" + name, outside_rests);
  }
}

void check_with_published(Run& run, const std::string& name, const HydroMesh& mesh, const HydroSolution& s,
                          const HydroState& state) {
  const auto found = std::find_if(std::begin(kPublished), std::end(kPublished),
                                  [&](const Published& p) { return p.side == mesh.side; });
  if (found == std::end(kPublished)) throw device::Failure("There is no published energy for this mesh.");
  run.check("cycles" + name, std::abs(state.cycle - found->cycles), 0);
  run.check("origin energy" + name, std::abs(s.energy[0] - found->origin) / found->origin, 1e-6);
  // The scheme gives up some of the energy while the blast is a few elements wide, and never makes any.
  run.check("total energy" + name, std::abs(total_energy(mesh, s) - 0.85), 0.15);
}

struct Case {
  int side;
  int cycles;   // 0: a whole run, whose result is published
  int timed;    // cycles of a sample of hydro_fom
  int box;      // the reference's mesh
  int elapsed;  // samples of hydro_elapsed; 0: as many as there are passes
};

void measure(Run& run, const Case& c) {
  using Clock = std::chrono::steady_clock;
  device::Device& device = run.device();
  const HydroMesh mesh = hydro_mesh(c.side, c.side);
  HydroDevice simulation(device, mesh);
  const std::string name = std::string("/") + std::to_string(c.side), of = ", N = " + std::to_string(c.side);
  const auto figure = [&](const char* metric, const char* unit, bool higher, bool pcie) {
    return Figure{metric + name, unit, higher, pcie, metric, static_cast<double>(c.side), "elements a side"};
  };

  std::vector<double> rates_on_device;
  for (int pass = -1; pass < run.passes(); ++pass) {
    simulation.reset();
    const auto begin = device.mark();
    for (int i = 0; i < c.timed; ++i) simulation.cycle();
    const auto end = device.mark();
    const double seconds = device.seconds_between(*begin, *end);
    if (pass >= 0) rates_on_device.push_back(static_cast<double>(mesh.elements) * c.timed / seconds);
  }
  run.sample(figure("hydro_fom", "z/s", true, false), rates_on_device);

  std::vector<double> elapsed, rates_of_runs;
  HydroSolution solution;
  HydroState last{};
  const int limit = c.cycles > 0 ? c.cycles : 1 << 30, samples = c.elapsed > 0 ? c.elapsed : run.passes();
  for (int pass = -1; pass < samples; ++pass) {
    const auto begin = Clock::now();
    last = simulation.whole_run(limit, &solution);
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    // Long runs warm up by what was timed before.
    if (pass < 0 && c.elapsed == 0) continue;
    if (pass < 0) ++pass;
    elapsed.push_back(seconds);
    rates_of_runs.push_back(static_cast<double>(mesh.elements) * last.cycle / seconds);
  }
  run.sample(figure("hydro_fom_pcie", "z/s", true, true), rates_of_runs);
  run.sample(figure("hydro_elapsed", "s", false, true), elapsed);
  check_symmetry(run, of, mesh, solution);
  if (c.cycles == 0) {
    check_with_published(run, of, mesh, solution, last);
  } else {
    run.check("cycles" + of, std::abs(last.cycle - c.cycles), 0);
    check_with_reference(run, of, mesh, solution, c.cycles, c.box);
  }
}

}  // namespace

void hydro(Run& run) {
  if (!run.info().fp64) throw device::Unsupported("The device has no double precision.");
  switch (run.size()) {
    case Size::ci:
      measure(run, {5, 0, 40, 0, 1});
      measure(run, {8, 30, 10, 8, 1});
      break;
    case Size::shoc:
      measure(run, {8, 30, 30, 8, 0});
      measure(run, {30, 0, 200, 0, 0});
      measure(run, {90, 0, 200, 0, 1});
      break;
    case Size::gpu:
      measure(run, {150, 100, 100, 16, 0});
      break;
  }
}

}  // namespace nm::workload::apps
