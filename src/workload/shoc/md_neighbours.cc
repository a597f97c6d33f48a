#include "workload/shoc/md_neighbours.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <thread>

namespace nm::workload::shoc {
namespace {

// The cube in cells of about one sphere of `count` atoms' radius; the atoms in the order of their cells.
struct Cells {
  int side;
  float edge;
  std::vector<uint32_t> begin;  // of each cell in `order`, and the end of the last
  std::vector<uint32_t> order;

  int along(float x) const { return std::clamp(static_cast<int>(x / edge * static_cast<float>(side)), 0, side - 1); }
  size_t at(int x, int y, int z) const {
    return (static_cast<size_t>(z) * static_cast<size_t>(side) + static_cast<size_t>(y)) * static_cast<size_t>(side) +
           static_cast<size_t>(x);
  }
};

Cells sort_into_cells(std::span<const std::array<float, 3>> atoms, float edge, size_t count) {
  const double volume = static_cast<double>(edge) * edge * edge;
  const double radius =
      std::cbrt(3.0 / (4.0 * 3.14159265) * volume * static_cast<double>(count) / static_cast<double>(atoms.size()));
  Cells cells{std::max(1, static_cast<int>(edge / radius)), edge, {}, {}};
  const auto side = static_cast<size_t>(cells.side);
  cells.begin.assign(side * side * side + 1, 0);
  const auto cell_of = [&](size_t i) {
    return cells.at(cells.along(atoms[i][0]), cells.along(atoms[i][1]), cells.along(atoms[i][2]));
  };
  for (size_t i = 0; i < atoms.size(); ++i) ++cells.begin[cell_of(i) + 1];
  for (size_t c = 1; c < cells.begin.size(); ++c) cells.begin[c] += cells.begin[c - 1];
  std::vector<uint32_t> next(cells.begin.begin(), cells.begin.end() - 1);
  cells.order.resize(atoms.size());
  for (size_t i = 0; i < atoms.size(); ++i) cells.order[next[cell_of(i)]++] = static_cast<uint32_t>(i);
  return cells;
}

void find(std::span<const std::array<float, 3>> atoms, const Cells& cells, size_t count, size_t from, size_t to,
          std::vector<int32_t>& list) {
  std::vector<uint64_t> found;  // distance², whose bits order as the number does, then the atom
  for (size_t rank = from; rank < to; ++rank) {
    const uint32_t i = cells.order[rank];
    const auto& here = atoms[i];
    const int x = cells.along(here[0]), y = cells.along(here[1]), z = cells.along(here[2]);
    const float width = cells.edge / static_cast<float>(cells.side);
    // Everything nearer than `reach` cells' width is in the cube of cells that far around; if that holds fewer than
    // `count` atoms so near, a larger cube is searched.
    for (int reach = 1;; ++reach) {
      found.clear();
      size_t sure = 0;
      const float sure2 = static_cast<float>(reach) * width * static_cast<float>(reach) * width;
      for (int cz = std::max(0, z - reach); cz <= std::min(cells.side - 1, z + reach); ++cz) {
        for (int cy = std::max(0, y - reach); cy <= std::min(cells.side - 1, y + reach); ++cy) {
          const size_t begin = cells.begin[cells.at(std::max(0, x - reach), cy, cz)];
          const size_t end = cells.begin[cells.at(std::min(cells.side - 1, x + reach), cy, cz) + 1];
          for (size_t other = begin; other < end; ++other) {
            const uint32_t j = cells.order[other];
            if (j == i) continue;
            const float dx = here[0] - atoms[j][0], dy = here[1] - atoms[j][1], dz = here[2] - atoms[j][2];
            const float distance2 = dx * dx + dy * dy + dz * dz;
            if (distance2 <= sure2) ++sure;
            found.push_back(uint64_t{std::bit_cast<uint32_t>(distance2)} << 32 | j);
          }
        }
      }
      if (sure >= count || reach >= cells.side) break;
    }
    std::nth_element(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(count - 1), found.end());
    for (size_t k = 0; k < count; ++k) list[k * atoms.size() + i] = static_cast<int32_t>(found[k] & 0xffffffff);
  }
}

}  // namespace

std::vector<int32_t> nearest_neighbours(std::span<const std::array<float, 3>> atoms, float edge, size_t count) {
  const Cells cells = sort_into_cells(atoms, edge, count);
  std::vector<int32_t> list(atoms.size() * count);
  const size_t workers = std::clamp<size_t>(std::thread::hardware_concurrency(), 1, 16);
  std::vector<std::thread> threads;
  for (size_t w = 0; w < workers; ++w) {
    threads.emplace_back(
        [&, w] { find(atoms, cells, count, atoms.size() * w / workers, atoms.size() * (w + 1) / workers, list); });
  }
  for (std::thread& thread : threads) thread.join();
  return list;
}

}  // namespace nm::workload::shoc
