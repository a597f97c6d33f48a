// Neighbour lists for MD: the nearest atoms of each, as SHOC builds them, but by way of cells instead of all pairs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace nm::workload::shoc {

// The `count` nearest other atoms of each, the j-th of atom i at [j * n + i], in no particular order of distance; the
// atoms lie in a cube of the given edge. There must be more than `count` of them.
std::vector<int32_t> nearest_neighbours(std::span<const std::array<float, 3>> atoms, float edge, size_t count);

}  // namespace nm::workload::shoc
