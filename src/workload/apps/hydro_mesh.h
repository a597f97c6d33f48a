// The mesh of the Sedov blast: a cube of hexahedra, as tables of an unstructured mesh. The blast is in the corner at
// the origin; the three planes through it are planes of symmetry, the three others are free.
#pragma once

#include <array>
#include <vector>

namespace nm::workload::apps {

constexpr double kHydroEnd = 1e-2;         // seconds that a whole run covers
constexpr int kSymmetry = -1, kFree = -2;  // neighbours that are no elements

struct HydroMesh {
  int side = 0;  // elements along a side
  int elements = 0, nodes = 0;
  double blast = 0;       // the energy that is in element 0 at first
  double first_step = 0;  // seconds
  std::vector<double> x, y, z;
  std::vector<int> planes;                     // bits 0, 1, 2: the node stays in the plane x = 0, y = 0, z = 0
  std::vector<std::array<int, 8>> corners;     // an element's nodes, about its bottom and then about its top
  std::vector<std::array<int, 6>> neighbours;  // down and up in x, in y, in z
  std::vector<double> volume;                  // and mass: the density is 1
  std::vector<double> mass;                    // a node's: an eighth of every element's that it is of

  int element(int i, int j, int k) const { return i + side * (j + side * k); }
  int node(int i, int j, int k) const { return i + (side + 1) * (j + (side + 1) * k); }
};

// The first `side` elements a side of a mesh of `of` elements a side over a cube of 1.125; all: side == of.
HydroMesh hydro_mesh(int side, int of);

}  // namespace nm::workload::apps
