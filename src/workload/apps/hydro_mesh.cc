#include "workload/apps/hydro_mesh.h"

#include <cmath>

namespace nm::workload::apps {

HydroMesh hydro_mesh(int side, int of) {
  HydroMesh mesh;
  mesh.side = side;
  mesh.elements = side * side * side;
  mesh.nodes = (side + 1) * (side + 1) * (side + 1);
  // LULESH's energy for 45 elements a side; the volume of the one that gets it shrinks with their number.
  const double scale = of / 45.0;
  mesh.blast = 3.948746e+7 * scale * scale * scale;

  for (int k = 0; k <= side; ++k) {
    for (int j = 0; j <= side; ++j) {
      for (int i = 0; i <= side; ++i) {
        mesh.x.push_back(1.125 * i / of);
        mesh.y.push_back(1.125 * j / of);
        mesh.z.push_back(1.125 * k / of);
        mesh.planes.push_back((i == 0 ? 1 : 0) | (j == 0 ? 2 : 0) | (k == 0 ? 4 : 0));
      }
    }
  }
  mesh.mass.resize(static_cast<size_t>(mesh.nodes));
  for (int k = 0; k < side; ++k) {
    for (int j = 0; j < side; ++j) {
      for (int i = 0; i < side; ++i) {
        mesh.corners.push_back({mesh.node(i, j, k), mesh.node(i + 1, j, k), mesh.node(i + 1, j + 1, k),
                                mesh.node(i, j + 1, k), mesh.node(i, j, k + 1), mesh.node(i + 1, j, k + 1),
                                mesh.node(i + 1, j + 1, k + 1), mesh.node(i, j + 1, k + 1)});
        mesh.neighbours.push_back(
            {i > 0 ? mesh.element(i - 1, j, k) : kSymmetry, i + 1 < side ? mesh.element(i + 1, j, k) : kFree,
             j > 0 ? mesh.element(i, j - 1, k) : kSymmetry, j + 1 < side ? mesh.element(i, j + 1, k) : kFree,
             k > 0 ? mesh.element(i, j, k - 1) : kSymmetry, k + 1 < side ? mesh.element(i, j, k + 1) : kFree});
        // Still a box, whose edges are parallel to the axes.
        const auto low = static_cast<size_t>(mesh.node(i, j, k)),
                   high = static_cast<size_t>(mesh.node(i + 1, j + 1, k + 1));
        const double volume =
            (mesh.x[high] - mesh.x[low]) * (mesh.y[high] - mesh.y[low]) * (mesh.z[high] - mesh.z[low]);
        mesh.volume.push_back(volume);
        for (const int corner : mesh.corners.back()) mesh.mass[static_cast<size_t>(corner)] += volume / 8;
      }
    }
  }
  mesh.first_step = 0.5 * std::cbrt(mesh.volume[0]) / std::sqrt(2.0 * mesh.blast);
  return mesh;
}

}  // namespace nm::workload::apps
