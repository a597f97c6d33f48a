#include "workload/shoc/mechanism.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace nm::workload::shoc {
namespace {

std::array<int, kElements> atoms(int a, int b) {
  auto sum = kSpeciesTable[a].atoms;
  for (int e = 0; b != kNone && e < kElements; ++e) sum[e] += kSpeciesTable[b].atoms[e];
  return sum;
}

TEST(Mechanism, HasTheSizeOfS3dsAndBalancesItsElements) {
  const Mechanism m = make_mechanism();
  ASSERT_EQ(m.reactions.size(), size_t{kReactions});
  int steady = 0;
  std::array<int, kNone + 1> part{};
  for (const Reaction& r : m.reactions) {
    EXPECT_EQ(atoms(r.sides[0], r.sides[1]), atoms(r.sides[2], r.sides[3]));
    EXPECT_LT(r.sides[0], kSpecies);
    EXPECT_LT(r.sides[2], kSpecies);
    EXPECT_NE(r.sides[1], kNone);
    EXPECT_EQ(r.sides[3] == kNone, r.kind != Kind::plain);
    for (const int s : r.sides) ++part[s];
    steady += r.steady();
  }
  EXPECT_EQ(steady, m.steady);
  for (int s = kSpecies; s < kNone; ++s) EXPECT_GE(part[s], 3) << kSpeciesTable[s].name;
  for (size_t r = 0; r < m.reactions.size(); ++r) {
    EXPECT_EQ(m.reactions[r].kind == Kind::falloff, r >= static_cast<size_t>(m.first_falloff));
  }
}

TEST(Mechanism, IsTheSameAtEveryCall) {
  const Mechanism a = make_mechanism(), b = make_mechanism();
  for (int r = 0; r < kReactions; ++r) {
    EXPECT_EQ(a.reactions[r].sides, b.reactions[r].sides);
    EXPECT_EQ(a.reactions[r].high.log_k, b.reactions[r].high.log_k);
  }
}

TEST(Mechanism, ReferenceConservesElementsAndReacts) {
  const Mechanism m = make_mechanism();
  std::array<double, kSpecies> y;
  for (int s = 0; s < kSpecies; ++s) y[s] = 1.0 / kSpecies;
  const Rates rates = reference_rates(m, 1800, kAtmosphere, y.data());
  double moving = 0;
  for (int e = 0; e < kElements; ++e) {
    double net = 0, gross = 0;
    for (int s = 0; s < kSpecies; ++s) {
      net += kSpeciesTable[s].atoms[e] * rates.net[s];
      gross += kSpeciesTable[s].atoms[e] * rates.gross[s];
    }
    EXPECT_LE(std::abs(net), 1e-12 * gross);
    moving += gross;
  }
  EXPECT_GT(moving, 0);
}

// The reverse rates come from the same thermodynamics: with these amounts, at the minimum of Gibbs energy, nothing
// forms.
TEST(Mechanism, NothingFormsAtEquilibrium) {
  Mechanism m = make_mechanism();
  const double temperature = 1500;
  // Amounts of exp(sum of atoms' potentials - g) mol/m^3 in units of standard concentration are an equilibrium.
  std::array<double, kSpecies> y{};
  const double standard = kAtmosphere / (kGas * temperature);
  double total = 0;
  for (int s = 0; s < kSpecies; ++s) {
    const double g = std::accumulate(m.gibbs[s].begin(), m.gibbs[s].end(), 0.0) - m.gibbs[s][1];
    double potential = 0;
    for (int e = 0; e < kElements; ++e) potential += kSpeciesTable[s].atoms[e] * (e == 0 ? -0.3 : e == 1 ? -0.2 : -0.5);
    const double c = standard * std::exp(potential - g);
    y[s] = c * molar_mass(kSpeciesTable[s]);
    total += c;
  }
  const Rates rates = reference_rates(m, temperature, total * kGas * temperature, y.data());
  for (int s = 0; s < kSpecies; ++s) {
    EXPECT_LE(std::abs(rates.net[s]), 1e-10 * rates.gross[s] + 1e-30) << kSpeciesTable[s].name;
  }
}

}  // namespace
}  // namespace nm::workload::shoc
