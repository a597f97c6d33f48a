// S3D: the chemistry of a simulation of combustion, the rates at which 22 species form at every point of a grid. Bound
// by exponentials and by arithmetic: 206 reversible reactions a point, in single and in double precision. SHOC counts
// 10,000 operations a point, an estimate, whatever it takes; so does this, with a mechanism of the same size.
#include <algorithm>
#include <cmath>
#include <limits>

#include "workload/shoc/mechanism.h"
#include "workload/shoc/programs.h"

namespace nm::workload::shoc {
namespace {

constexpr double kLog2E = 1.44269504088896340736;

// The mechanism as the kernels read it (kernels/s3d.cl).
template <typename T>
struct Tables {
  std::vector<T> weights, gibbs, constants, falloff;
  std::vector<int> reactions;

  explicit Tables(const Mechanism& m) {
    for (int s = 0; s < kSpecies; ++s) weights.push_back(static_cast<T>(1 / molar_mass(kSpeciesTable[s])));
    for (const auto& bodies : m.efficiency) {
      for (const double efficiency : bodies) weights.push_back(static_cast<T>(efficiency));
    }
    for (const auto& a : m.gibbs) {
      // ln t is the device's log2 t over log2 e.
      for (size_t i = 0; i < a.size(); ++i) gibbs.push_back(static_cast<T>(i == 1 ? a[i] : a[i] * kLog2E));
      gibbs.push_back(0);
    }
    int slot = 0;
    for (const Reaction& reaction : m.reactions) {
      const auto& s = reaction.sides;
      reactions.push_back(s[0] | s[1] << 8 | s[2] << 16 | s[3] << 24);
      reactions.push_back(reaction.steady() ? slot++ : -1);
      reactions.push_back(static_cast<int>(reaction.kind));
      reactions.push_back(reaction.body);
      four(constants, reaction.high);
      if (reaction.kind != Kind::falloff) continue;
      four(falloff, reaction.low);
      for (const double value : {reaction.troe_a, kLog2E / reaction.troe_t3, kLog2E / reaction.troe_t1,
                                 kLog2E * reaction.troe_t2, 0.0, 0.0, 0.0, 0.0}) {
        falloff.push_back(static_cast<T>(value));
      }
    }
    // Rows that a batch may read behind the last one, and not use.
    reactions.insert(reactions.end(), 4 * 3, 0);
    constants.insert(constants.end(), 4 * 3, T{0});
  }

  // activation (1 - 1 / t), in the exponent of 2.
  static void four(std::vector<T>& to, const Arrhenius& k) {
    for (const double value : {k.log_k * kLog2E, k.power, k.activation * kLog2E, 0.0})
      to.push_back(static_cast<T>(value));
  }
};

template <typename T>
void rates_of(Run& run, const Mechanism& m, const char* variant, const std::string& suffix, int side) {
  device::Device& device = run.device();
  const auto n = static_cast<size_t>(side) * side * side;
  const device::PinnedMemory temperature = device.allocate_pinned(n * sizeof(T)),
                             pressure = device.allocate_pinned(n * sizeof(T)),
                             fractions = device.allocate_pinned(kSpecies * n * sizeof(T)),
                             formed = device.allocate_pinned(kSpecies * n * sizeof(T));
  const auto uniform = [&] { return static_cast<double>(run.random()() >> 40) / (1 << 24); };
  for (size_t i = 0; i < n; ++i) {
    temperature.as<T>()[i] = static_cast<T>(1000 + 1500 * uniform());
    pressure.as<T>()[i] = static_cast<T>(kAtmosphere * (0.8 + 0.4 * uniform()));
    double sum = 0;
    std::array<double, kSpecies> y;
    for (double& value : y) sum += value = 0.001 + uniform();
    for (int s = 0; s < kSpecies; ++s) fractions.as<T>()[s * n + i] = static_cast<T>(y[s] / sum);
  }

  const Tables<T> tables(m);
  std::vector<int> steady_reactions;
  for (size_t r = 0; r < m.reactions.size(); ++r) {
    if (!m.reactions[r].steady()) continue;
    steady_reactions.insert(steady_reactions.end(), &tables.reactions[4 * r], &tables.reactions[4 * r] + 4);
  }
  // Rates of reactions are read four at a time, behind the last one as well.
  const device::Buffer device_temperature = device.allocate(temperature.bytes()),
                       device_pressure = device.allocate(pressure.bytes()),
                       device_fractions = device.allocate(fractions.bytes()),
                       device_formed = device.allocate(formed.bytes()),
                       scratch = device.allocate(2 * n * static_cast<size_t>(m.steady + 3) * sizeof(T));
  const device::Buffer weights = device.upload(tables.weights), gibbs = device.upload(tables.gibbs),
                       reactions = device.upload(tables.reactions), constants = device.upload(tables.constants),
                       falloff = device.upload(tables.falloff), steady = device.upload(steady_reactions);
  const device::Kernel rates = device.kernel("s3d", variant, "s3d_rates");
  const device::Kernel solve = device.kernel("s3d", variant, "s3d_steady");
  constexpr uint32_t kThreads = 64, kSolveThreads = 32;
  const auto count = static_cast<int>(n);
  const auto transfer = [&] {
    device.write(device_temperature, 0, temperature.data(), temperature.bytes(), false);
    device.write(device_pressure, 0, pressure.data(), pressure.bytes(), false);
    device.write(device_fractions, 0, fractions.data(), fractions.bytes(), false);
  };
  const auto launch = [&] {
    device.launch(rates, {static_cast<uint32_t>((n + kThreads - 1) / kThreads)}, {kThreads}, device_temperature,
                  device_pressure, device_fractions, weights, gibbs, reactions, constants, falloff, scratch,
                  device_formed, count, m.plain, kReactions, m.first_falloff);
    device.launch(solve, {static_cast<uint32_t>((n + kSolveThreads - 1) / kSolveThreads)}, {kSolveThreads}, scratch,
                  steady, device_formed, count, m.steady);
  };
  const auto verify = [&](const std::string& what) {
    double worst = 0, unbalanced = 0;
    const auto note = [](double& to, double error) {
      if (!(error <= to)) to = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
    };
    // Some 4,000 points, spread so that no block and no thread of a block is left out.
    const size_t step = std::max<size_t>(1, n / 4096) | 1;
    for (size_t i = 0; i < n; i += step) {
      std::array<double, kSpecies> y;
      for (int s = 0; s < kSpecies; ++s) y[s] = static_cast<double>(fractions.as<T>()[s * n + i]);
      const Rates reference = reference_rates(m, static_cast<double>(temperature.as<T>()[i]),
                                              static_cast<double>(pressure.as<T>()[i]), y.data());
      std::array<double, kElements> atoms{}, all{};
      for (int s = 0; s < kSpecies; ++s) {
        const double net = static_cast<double>(formed.as<T>()[s * n + i]);
        note(worst, std::abs(net - reference.net[s]) / std::max(reference.gross[s], 1e-30));
        for (int e = 0; e < kElements; ++e) {
          atoms[e] += kSpeciesTable[s].atoms[e] * net;
          all[e] += kSpeciesTable[s].atoms[e] * reference.gross[s];
        }
      }
      for (int e = 0; e < kElements; ++e) note(unbalanced, std::abs(atoms[e]) / std::max(all[e], 1e-30));
    }
    // An exponent of 2 is a sum of terms up to some 64 in size: 2^6 roundings, times a few terms; the steady state adds
    // its own, of the same kind. Elements balance but for the roundings of the sums.
    run.check("rates of " + what, worst, 1000 * static_cast<double>(std::numeric_limits<T>::epsilon()));
    run.check("elements of " + what, unbalanced, 200 * static_cast<double>(std::numeric_limits<T>::epsilon()));
  };

  transfer();
  device.fill(device_formed, 0, 0x7fc00000, formed.bytes());
  const int repeats = run.pick(1, 10, 1);
  const double operations = 10000.0 * static_cast<double>(n) / 1e9;
  run.sample({"s3d" + suffix, "GFLOPS"}, workload::rates(operations * repeats, run.device_seconds([&] {
               for (int i = 0; i < repeats; ++i) launch();
             })));
  device.read(device_formed, 0, formed.data(), formed.bytes());
  verify("s3d" + suffix);
  device.fill(device_temperature, 0, 0x7fc00000, temperature.bytes());
  device.fill(device_formed, 0, 0x7fc00000, formed.bytes());
  run.sample({"s3d" + suffix + "_pcie", "GFLOPS", true, true}, workload::rates(operations, run.wall_seconds([&] {
               transfer();
               launch();
               device.read(device_formed, 0, formed.data(), formed.bytes());
             })));
  verify("s3d" + suffix + "_pcie");
}

}  // namespace

void s3d(Run& run) {
  const Mechanism mechanism = make_mechanism();
  rates_of<float>(run, mechanism, "sp", "", run.pick(8, 48, 128));
  if (run.info().fp64) {
    rates_of<double>(run, mechanism, "dp", "_dp", run.pick(8, 40, 128));
  } else {
    run.skip("s3d_dp", "The device has no double precision.");
  }
}

}  // namespace nm::workload::shoc
