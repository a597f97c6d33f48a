// Numbers from a seed, the same on every platform and with every standard library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace order {

class Random {  // splitmix64
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ull + 0x1234567) {}

  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  // 0 to n - 1; n > 0. What is lost in evenness is no matter here.
  uint32_t below(uint32_t n) { return static_cast<uint32_t>((next() >> 32) * n >> 32); }
  uint32_t between(uint32_t least, uint32_t most) { return least + below(most - least + 1); }
  bool chance(uint32_t percent) { return below(100) < percent; }
  uint32_t word() { return static_cast<uint32_t>(next() >> 16); }
  template <typename T>
  const T& of(const std::vector<T>& all) {
    return all[below(static_cast<uint32_t>(all.size()))];
  }

 private:
  uint64_t state_;
};

}  // namespace order
