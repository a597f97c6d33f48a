// From logarithms of ratios to intervals, tests and numbers of pairs.
//
// Everything is on the log scale: a ratio of 0.99 and one of 1/0.99 are equally far from 1, the mean is the geometric
// mean of the ratios, and "twice as slow" cancels "twice as fast". Callers pass d = ln(target / reference), oriented so
// that less than 0 is overhead, one a pair, and take exp() of what comes back.
//
// Fewer than kFewest values give an interval from minus to plus infinity: with two, the spread is a guess.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace nm::bench {

inline constexpr size_t kFewest = 3;

// An estimate with its standard error and degrees of freedom: all that Student's and Welch's intervals need.
struct Estimate {
  double mean = 0;
  double sd = 0;       // of one value (paired), or of a difference of two (not paired)
  double error = 0;    // standard error of the mean; infinite if there are too few values
  double freedom = 1;  // degrees of freedom
  size_t count = 0;    // pairs, or the fewer of the two sides
};
Estimate paired(std::span<const double> differences);
// target minus reference, their variances not taken to be equal.
Estimate welch(std::span<const double> reference, std::span<const double> target);

struct LogInterval {
  double low, high;
};
LogInterval t_interval(const Estimate& estimate, double confidence);

// Two-sided, of "the mean is 0".
double p_difference(const Estimate& estimate);
// Two one-sided tests, of "the mean is -margin or below" and "+margin or above": the larger p. Below 0.05 exactly when
// the 90 % interval lies within the margins.
double p_equivalence(const Estimate& estimate, double log_margin);

// Holm's step-down adjustment; in the order of `p`.
std::vector<double> holm(std::span<const double> p);

// Power of the two one-sided tests at 5 % each, if the true mean is 0: the chance that EQUIVALENT is found.
double equivalence_power(size_t pairs, double sd, double log_margin);
// Nothing: more than 10,000.
std::optional<int64_t> pairs_needed(double sd, double log_margin, double power = 0.9);
// The smallest true difference, on the log scale and positive, that a one-sided test at 5 % finds with this power.
double detectable_difference(const Estimate& estimate, double power = 0.9);

// Values further than 3.5 robust deviations (median and MAD) from the median. They are shown, never left out.
std::vector<size_t> outliers(std::span<const double> values);

}  // namespace nm::bench
