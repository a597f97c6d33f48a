#include "workload/shoc/mechanism.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace nm::workload::shoc {

const std::array<Species, kNone> kSpeciesTable{{
    {"H2", {0, 2, 0, 0}},    {"H", {0, 1, 0, 0}},    {"O", {0, 0, 1, 0}},     {"O2", {0, 0, 2, 0}},
    {"OH", {0, 1, 1, 0}},    {"H2O", {0, 2, 1, 0}},  {"HO2", {0, 1, 2, 0}},   {"H2O2", {0, 2, 2, 0}},
    {"CH3", {1, 3, 0, 0}},   {"CH4", {1, 4, 0, 0}},  {"CO", {1, 0, 1, 0}},    {"CO2", {1, 0, 2, 0}},
    {"CH2O", {1, 2, 1, 0}},  {"C2H2", {2, 2, 0, 0}}, {"C2H4", {2, 4, 0, 0}},  {"C2H6", {2, 6, 0, 0}},
    {"CH2CO", {2, 2, 1, 0}}, {"C3H6", {3, 6, 0, 0}}, {"CH3OH", {1, 4, 1, 0}}, {"CH3CHO", {2, 4, 1, 0}},
    {"C3H4", {3, 4, 0, 0}},  {"N2", {0, 0, 0, 2}},   {"CH", {1, 1, 0, 0}},    {"CH2", {1, 2, 0, 0}},
    {"CH2*", {1, 2, 0, 0}},  {"HCO", {1, 1, 1, 0}},  {"C2H3", {2, 3, 0, 0}},  {"C2H5", {2, 5, 0, 0}},
    {"CH2OH", {1, 3, 1, 0}}, {"HCCO", {2, 1, 1, 0}}, {"C3H5", {3, 5, 0, 0}},
}};

double molar_mass(const Species& species) {
  constexpr std::array<double, kElements> kMasses{12.011e-3, 1.008e-3, 15.999e-3, 14.007e-3};
  double mass = 0;
  for (int e = 0; e < kElements; ++e) mass += species.atoms[e] * kMasses[e];
  return mass;
}

namespace {

using Atoms = std::array<int, kElements>;

Atoms atoms_of(int a, int b) {
  Atoms sum = kSpeciesTable[a].atoms;
  if (b != kNone) {
    for (int e = 0; e < kElements; ++e) sum[e] += kSpeciesTable[b].atoms[e];
  }
  return sum;
}

// Every reaction in which the elements balance: {two to one, two to two}.
std::array<std::vector<Reaction>, 2> candidates() {
  constexpr int kInert = 21;  // N2
  std::vector<std::array<int, 2>> pairs;
  for (int b = 0; b < kNone; ++b) {
    for (int a = 0; a <= b && a < kSpecies; ++a) {
      if (a != kInert && b != kInert) pairs.push_back({a, b});
    }
  }
  std::array<std::vector<Reaction>, 2> found;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const Atoms atoms = atoms_of(pairs[i][0], pairs[i][1]);
    for (int c = 0; c < kSpecies; ++c) {
      if (kSpeciesTable[c].atoms == atoms) found[0].push_back({{pairs[i][0], pairs[i][1], c, kNone}});
    }
    for (size_t j = i + 1; j < pairs.size(); ++j) {
      const bool common = pairs[i][0] == pairs[j][0] || pairs[i][0] == pairs[j][1] || pairs[i][1] == pairs[j][0] ||
                          pairs[i][1] == pairs[j][1];
      if (!common && atoms_of(pairs[j][0], pairs[j][1]) == atoms) {
        found[1].push_back({{pairs[i][0], pairs[i][1], pairs[j][0], pairs[j][1]}});
      }
    }
  }
  return found;
}

}  // namespace

Mechanism make_mechanism() {
  // The generator's numbers are the same everywhere; the library's distributions are not.
  std::mt19937_64 random(22206);
  const auto between = [&](double low, double high) {
    return low + (high - low) * (static_cast<double>(random() >> 11) / 9007199254740992.0);
  };
  const auto shuffle = [&](std::vector<Reaction>& list) {
    for (size_t i = list.size(); i > 1; --i) std::swap(list[i - 1], list[random() % i]);
  };
  auto [joining, exchanging] = candidates();
  shuffle(joining), shuffle(exchanging);
  constexpr size_t kJoining = 36;
  joining.resize(std::min(joining.size(), kJoining));

  Mechanism m;
  for (size_t i = 0; i < joining.size(); ++i) {
    Reaction reaction = joining[i];
    reaction.kind = i % 2 == 0 ? Kind::third_body : Kind::falloff;
    m.reactions.push_back(reaction);
  }
  // Each species in quasi-steady state takes part in ten, as far as there are so many; then come those of the others.
  std::array<int, kNone + 1> part{};
  const auto rare = [&](int species) { return species >= kSpecies && part[species] < 10; };
  const auto middle = std::stable_partition(exchanging.begin(), exchanging.end(), [&](const Reaction& r) {
    const bool chosen = rare(r.sides[1]) || rare(r.sides[3]);
    if (chosen) ++part[r.sides[1]], ++part[r.sides[3]];
    return chosen;
  });
  std::stable_partition(middle, exchanging.end(), [](const Reaction& r) { return !r.steady(); });
  exchanging.resize(kReactions - m.reactions.size());
  m.reactions.insert(m.reactions.end(), exchanging.begin(), exchanging.end());
  for (Reaction& reaction : m.reactions) {
    reaction.body = static_cast<int>(random() % 4);
    reaction.high = {between(-3, 8), between(-1, 2.5), between(0, 10)};
    if (reaction.kind == Kind::third_body) reaction.high.log_k -= 2;
    if (reaction.kind == Kind::falloff) {
      reaction.low = {reaction.high.log_k + between(-5, 2), between(-3, 0), between(0, 4)};
      reaction.troe_a = between(0.3, 0.9);
      reaction.troe_t3 = between(0.05, 0.8), reaction.troe_t1 = between(0.5, 2), reaction.troe_t2 = between(1, 4);
    }
  }
  std::stable_sort(m.reactions.begin(), m.reactions.end(), [](const Reaction& a, const Reaction& b) {
    const auto rank = [](const Reaction& r) {
      return 2 * static_cast<int>(r.kind) - (r.kind == Kind::plain && r.steady());
    };
    return rank(a) < rank(b);
  });
  for (const Reaction& reaction : m.reactions) {
    m.steady += reaction.steady();
    m.plain += reaction.kind == Kind::plain;
    m.first_falloff += reaction.kind != Kind::falloff;
  }
  for (auto& a : m.gibbs) {
    a = {0,
         between(-6, -2.5),
         between(-2, 2),
         between(-0.5, 0.5),
         between(-0.1, 0.1),
         between(-0.02, 0.02),
         between(-2, 2)};
    a[0] = between(-4, 4) - a[2] - a[3] - a[4] - a[5] - a[6];
  }
  for (auto& bodies : m.efficiency) {
    for (double& efficiency : bodies) efficiency = random() % 4 == 0 ? between(2, 12) : 1;
  }
  return m;
}

Rates reference_rates(const Mechanism& m, double temperature, double pressure, const double* fractions) {
  const double t = temperature / kStandard;
  std::array<double, kNone + 1> c, g;
  c.fill(1);
  double moles = 0;
  for (int s = 0; s < kSpecies; ++s) moles += c[s] = fractions[s] / molar_mass(kSpeciesTable[s]);
  std::array<double, 4> bodies{};
  for (int s = 0; s < kSpecies; ++s) {
    c[s] *= pressure / (kGas * temperature) / moles;
    for (int b = 0; b < 4; ++b) bodies[b] += m.efficiency[s][b] * c[s];
  }
  for (int s = 0; s < kNone; ++s) {
    const auto& a = m.gibbs[s];
    g[s] = a[0] + a[1] * std::log(t) + a[2] * t + a[3] * t * t + a[4] * t * t * t + a[5] * t * t * t * t + a[6] / t;
  }
  g[kNone] = std::log(kAtmosphere / (kGas * temperature));
  const auto constant = [&](const Arrhenius& k) {
    return std::exp(k.log_k) * std::pow(t, k.power) * std::exp(-k.activation * (1 / t - 1));
  };

  std::vector<double> ahead, back;
  // lost_j x_j - sum of made_jk x_k = formed_j
  std::array<std::array<double, kSteady + 1>, kSteady> system{};
  for (const Reaction& reaction : m.reactions) {
    const auto& s = reaction.sides;
    double k = constant(reaction.high);
    if (reaction.kind == Kind::third_body) k *= bodies[reaction.body];
    if (reaction.kind == Kind::falloff) {
      const double reduced = constant(reaction.low) * bodies[reaction.body] / k;
      const double center =
          std::log10((1 - reaction.troe_a) * std::exp(-t / reaction.troe_t3) +
                     reaction.troe_a * std::exp(-t / reaction.troe_t1) + std::exp(-reaction.troe_t2 / t));
      const double x = std::log10(reduced) - 0.4 - 0.67 * center;
      const double y = x / (0.75 - 1.27 * center - 0.14 * x);
      k *= reduced / (1 + reduced) * std::pow(10, center / (1 + y * y));
    }
    ahead.push_back(k * c[s[0]] * c[s[1]]);
    back.push_back(k * std::exp(g[s[2]] + g[s[3]] - g[s[0]] - g[s[1]]) * c[s[2]] * c[s[3]]);
    const int a = s[1] >= kSpecies && s[1] < kNone ? s[1] - kSpecies : -1;
    const int b = s[3] >= kSpecies && s[3] < kNone ? s[3] - kSpecies : -1;
    if (a >= 0) {
      system[a][a] += ahead.back();
      if (b < 0) system[a][kSteady] += back.back();
    }
    if (b >= 0) {
      system[b][b] += back.back();
      if (a < 0) system[b][kSteady] += ahead.back();
    }
    if (a >= 0 && b >= 0) system[b][a] -= ahead.back(), system[a][b] -= back.back();
  }
  // Gauss and Jordan: the whole column, above the diagonal as well.
  for (int j = 0; j < kSteady; ++j) {
    for (int k = 0; k < kSteady; ++k) {
      if (k == j) continue;
      const double factor = system[k][j] / system[j][j];
      for (int i = j; i <= kSteady; ++i) system[k][i] -= factor * system[j][i];
    }
  }
  for (int j = 0; j < kSteady; ++j) c[kSpecies + j] = system[j][kSteady] / system[j][j];

  Rates rates;
  for (size_t r = 0; r < m.reactions.size(); ++r) {
    const auto& s = m.reactions[r].sides;
    const double f = ahead[r] * (s[1] >= kSpecies ? c[s[1]] : 1), b = back[r] * (s[3] >= kSpecies ? c[s[3]] : 1);
    for (int i = 0; i < 4; ++i) {
      if (s[i] >= kSpecies) continue;
      rates.net[s[i]] += i < 2 ? b - f : f - b;
      rates.gross[s[i]] += f + b;
    }
  }
  return rates;
}

}  // namespace nm::workload::shoc
