// The references of the applications, checked by what does not come from them.
#include <gtest/gtest.h>

#include <cmath>

#include "workload/apps/hydro_reference.h"
#include "workload/apps/md_system.h"
#include "workload/apps/svm_libsvm.h"

namespace nm::workload::apps {
namespace {

// What LULESH 2.0 documents for meshes of 5 and 10 elements a side.
TEST(HydroReference, EndsWithThePublishedEnergyOfTheOrigin) {
  for (const auto& [side, cycles, origin] : {std::tuple{5, 72, 7.853665e+03}, std::tuple{10, 231, 2.720531e+04}}) {
    HydroReference reference(hydro_mesh(side, side));
    while (reference.cycle()) {
    }
    EXPECT_EQ(reference.cycles(), cycles);
    EXPECT_NEAR(reference.energy[0] / origin, 1, 1e-6);
  }
}

TEST(HydroReference, APartOfTheMeshIsEnoughWhileTheBlastIsSmall) {
  HydroReference whole(hydro_mesh(12, 12)), part(hydro_mesh(8, 12));
  for (int c = 0; c < 20; ++c) {
    whole.cycle();
    part.cycle();
  }
  EXPECT_EQ(whole.energy[0], part.energy[0]);
  EXPECT_EQ(whole.energy[12 * 12 + 12 + 1], part.energy[8 * 8 + 8 + 1]);
}

TEST(HydroMesh, MassesOfNodesAreThoseOfElements) {
  const HydroMesh mesh = hydro_mesh(4, 4);
  double nodes = 0, elements = 0;
  for (const double m : mesh.mass) nodes += m;
  for (const double v : mesh.volume) elements += v;
  EXPECT_NEAR(nodes, elements, 1e-12);
  EXPECT_NEAR(elements, 1.125 * 1.125 * 1.125, 1e-12);
}

class Water : public testing::Test {
 protected:
  std::mt19937_64 random_{7};
  MdSystem system_ = water(2, 3, 0.1, 16, random_);
};

TEST_F(Water, SpringsPullDownTheirEnergy) {
  std::vector<Vector3> force(static_cast<size_t>(system_.atoms));
  for (Vector3& r : system_.position) r.x += 0.05 * static_cast<double>(random_() % 100) / 100;
  bonded(system_, 0, system_.molecules, force.data());
  std::vector<Vector3> unused(force.size());
  const double h = 1e-5;
  for (size_t i = 0; i < force.size(); ++i) {
    for (double Vector3::*axis : {&Vector3::x, &Vector3::y, &Vector3::z}) {
      MdSystem ahead = system_, behind = system_;
      ahead.position[i].*axis += h;
      behind.position[i].*axis -= h;
      const double slope =
          (bonded(ahead, 0, ahead.molecules, unused.data()) - bonded(behind, 0, behind.molecules, unused.data())) /
          (2 * h);
      EXPECT_NEAR(force[i].*axis, -slope, 1e-5);
    }
  }
}

TEST_F(Water, DirectForcesPullDownTheirEnergy) {
  const MdForces direct = direct_forces(system_, 1);
  const double h = 1e-5;
  for (const size_t i : {size_t{0}, size_t{4}, size_t{23}}) {
    MdSystem ahead = system_, behind = system_;
    ahead.position[i].y += h;
    behind.position[i].y -= h;
    EXPECT_NEAR(direct.force[i].y, -(direct_forces(ahead, 1).energy - direct_forces(behind, 1).energy) / (2 * h), 1e-3);
  }
}

// Madelung's constant of rock salt says nothing of molecules; that neither a shift of all atoms nor the division of the
// potential changes the energy does.
TEST_F(Water, DirectEnergyDoesNotDependOnWhereTheBoxBegins) {
  const double energy = direct_forces(system_, 1).energy;
  for (Vector3& r : system_.position) r = r + Vector3{1.3, 2.7, -0.9};
  EXPECT_NEAR(direct_forces(system_, 1).energy, energy, 1e-6 * std::abs(energy) + 1e-6);
}

TEST(Libsvm, FindsTheLabelsThatItWasTaught) {
  if (!has_libsvm()) GTEST_SKIP() << "built without libsvm";
  std::mt19937_64 random(1);
  const SvmData data = svm_data(60, 200, random);
  const LibsvmResult result = train_by_libsvm(data, data.gamma(), 10, 1e-3, {});
  int right = 0;
  for (size_t k = 0; k < 60; ++k) {
    double decision = result.constant;
    for (size_t i = 0; i < 60; ++i) {
      decision += result.alpha[i] * static_cast<double>(data.labels[i]) * std::exp(-data.gamma() * data.distance(i, k));
    }
    right += (decision > 0) == (data.labels[k] > 0);
  }
  EXPECT_GE(right, 57);
}

}  // namespace
}  // namespace nm::workload::apps
