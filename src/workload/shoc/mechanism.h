// A chemical mechanism for S3D: made up, but with the structure and the size of a reduced one for ethylene. 22 species
// and 9 more in quasi-steady state, with the elements of those they are named after; 206 reversible reactions in which
// every element balances; rate constants and thermodynamics drawn at random, once and for all.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

namespace nm::workload::shoc {

constexpr int kSpecies = 22, kSteady = 9, kReactions = 206, kElements = 4;
constexpr int kNone = kSpecies + kSteady;  // in the place of a second product that is none
constexpr double kStandard = 1500;         // K: constants are given for it
constexpr double kGas = 8.314462618, kAtmosphere = 101325;

struct Species {
  const char* name;
  std::array<int, kElements> atoms;  // C, H, O, N
};
extern const std::array<Species, kNone> kSpeciesTable;
double molar_mass(const Species& species);  // kg/mol

// k = exp(log_k) (T / 1500 K)^power exp(-activation (1500 K / T - 1))
struct Arrhenius {
  double log_k, power, activation;
};

enum class Kind { plain, third_body, falloff };

// sides[0] + sides[1] = sides[2] + sides[3]. A species in quasi-steady state only stands second or last, so that a side
// has at most one.
struct Reaction {
  std::array<int, 4> sides;
  Kind kind = Kind::plain;
  int body = 0;  // whose third body counts, of Mechanism::efficiency
  Arrhenius high{}, low{};
  double troe_a = 0, troe_t3 = 1, troe_t1 = 1, troe_t2 = 0;  // temperatures in units of 1,500 K

  bool steady() const {
    const auto is = [](int s) { return s >= kSpecies && s < kNone; };
    return is(sides[1]) || is(sides[3]);
  }
};

struct Mechanism {
  // Plain ones first, those with fall-off last; among plain ones, those with species in quasi-steady state first.
  std::vector<Reaction> reactions;
  int steady = 0, plain = 0, first_falloff = 0;  // `steady` counts them all
  // g/RT = a0 + a1 ln t + a2 t + a3 t^2 + a4 t^3 + a5 t^4 + a6 / t, t = T / 1500 K: NASA's polynomial, gathered by
  // powers.
  std::array<std::array<double, 7>, kNone> gibbs;
  std::array<std::array<double, 4>, kSpecies> efficiency;
};

// The same one at every call.
Mechanism make_mechanism();

struct Rates {
  // What forms of each species in mol/(m^3 s), net, and forwards and backwards added up: what errors are relative to.
  std::array<double, kSpecies> net{}, gross{};
};
// In double precision, with the C library's functions.
Rates reference_rates(const Mechanism& mechanism, double temperature, double pressure, const double* fractions);

}  // namespace nm::workload::shoc
