#include "bench/plan.h"

#include <algorithm>
#include <numeric>
#include <random>

namespace nm::bench {
namespace {

// Fisher and Yates; std::shuffle is another one in every standard library.
void shuffle(std::vector<size_t>& order, std::mt19937_64& random) {
  for (size_t left = order.size(); left > 1; --left) {
    const size_t chosen = static_cast<size_t>(((random() >> 32) * left) >> 32);
    std::swap(order[left - 1], order[chosen]);
  }
}

}  // namespace

std::vector<Step> plan(size_t programs, size_t ways, int64_t pairs, bool warm_up, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Step> steps;
  for (size_t program = 0; warm_up && program < programs; ++program) {
    for (size_t way = 0; way < ways; ++way) steps.push_back({program, way, 0, true});
  }
  std::vector<size_t> order(ways);
  std::iota(order.begin(), order.end(), size_t{0});
  for (int64_t pair = 0; pair < pairs; pair += 2) {
    for (size_t program = 0; program < programs; ++program) {
      shuffle(order, random);
      for (size_t way : order) steps.push_back({program, way, pair, false});
      if (pair + 1 == pairs) continue;  // an odd number: the last block is half a one
      for (size_t i = ways; i > 0; --i) steps.push_back({program, order[i - 1], pair + 1, false});
    }
  }
  return steps;
}

}  // namespace nm::bench
