#include "workload/shoc/md_neighbours.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace nm::workload::shoc {
namespace {

TEST(MdNeighbours, AreTheNearestOfAllPairs) {
  std::mt19937 random(3);
  constexpr float kEdge = 7;
  constexpr size_t kCount = 32;
  std::vector<std::array<float, 3>> atoms(1500);
  // The first half fills a corner more densely than the rest fills the cube.
  for (size_t i = 0; i < atoms.size(); ++i) {
    for (float& x : atoms[i]) {
      x = static_cast<float>(random() >> 8) / (1 << 24) * (i < atoms.size() / 2 ? kEdge / 4 : kEdge);
    }
  }
  const std::vector<int32_t> list = nearest_neighbours(atoms, kEdge, kCount);
  const auto distance2 = [&](size_t i, size_t j) {
    const float x = atoms[i][0] - atoms[j][0], y = atoms[i][1] - atoms[j][1], z = atoms[i][2] - atoms[j][2];
    return x * x + y * y + z * z;
  };
  for (size_t i = 0; i < atoms.size(); ++i) {
    std::vector<float> all, mine;
    for (size_t j = 0; j < atoms.size(); ++j) {
      if (j != i) all.push_back(distance2(i, j));
    }
    std::sort(all.begin(), all.end());
    all.resize(kCount);
    std::vector<int32_t> names;
    for (size_t k = 0; k < kCount; ++k) {
      names.push_back(list[k * atoms.size() + i]);
      mine.push_back(distance2(i, static_cast<size_t>(names.back())));
    }
    std::sort(mine.begin(), mine.end());
    EXPECT_EQ(mine, all) << "atom " << i;
    std::sort(names.begin(), names.end());
    EXPECT_EQ(std::unique(names.begin(), names.end()), names.end()) << "atom " << i;
  }
}

}  // namespace
}  // namespace nm::workload::shoc
