#include "workload/apps/hydro_device.h"

#include <algorithm>

namespace nm::workload::apps {
namespace {

constexpr uint32_t kThreads = 128, kForceThreads = 64, kStepThreads = 512;

// A table of rows, one column after the other: neighbouring threads read neighbouring words.
template <size_t N>
std::vector<int> by_column(const std::vector<std::array<int, N>>& rows) {
  std::vector<int> table(rows.size() * N);
  for (size_t r = 0; r < rows.size(); ++r) {
    for (size_t c = 0; c < N; ++c) table[c * rows.size() + r] = rows[r][c];
  }
  return table;
}

std::vector<int> corners_of_nodes(const HydroMesh& mesh) {
  const auto nodes = static_cast<size_t>(mesh.nodes), elements = static_cast<size_t>(mesh.elements);
  std::vector<int> table(8 * nodes, -1);
  std::vector<uint8_t> filled(nodes);
  for (size_t e = 0; e < elements; ++e) {
    for (size_t c = 0; c < 8; ++c) {
      const auto node = static_cast<size_t>(mesh.corners[e][c]);
      table[filled[node]++ * nodes + node] = static_cast<int>(c * elements + e);
    }
  }
  return table;
}

uint32_t blocks_for(int work, uint32_t threads) { return (static_cast<uint32_t>(work) + threads - 1) / threads; }

}  // namespace

HydroDevice::HydroDevice(device::Device& device, const HydroMesh& mesh) : device_(device), mesh_(mesh) {
  const auto n = static_cast<size_t>(mesh.elements), nodes = static_cast<size_t>(mesh.nodes);
  blocks_ = blocks_for(mesh.elements, kThreads);
  corners_ = device.upload(by_column(mesh.corners));
  neighbours_ = device.upload(by_column(mesh.neighbours));
  gather_ = device.upload(corners_of_nodes(mesh));
  planes_ = device.upload(mesh.planes);
  mass_ = device.upload(mesh.mass);
  volume_0_ = device.upload(mesh.volume);
  for (device::Buffer* b : {&x_, &y_, &z_, &vx_, &vy_, &vz_}) *b = device.allocate(nodes * 8);
  for (device::Buffer* b : {&volume_, &energy_, &pressure_, &viscosity_, &sound_, &new_volume_, &length_, &growth_,
                            &jump_xi_, &jump_eta_, &jump_zeta_, &size_xi_, &size_eta_, &size_zeta_}) {
    *b = device.allocate(n * 8);
  }
  for (device::Buffer* b : {&fx_, &fy_, &fz_}) *b = device.allocate(8 * n * 8);
  courant_ = device.allocate(blocks_ * 8);
  hydro_ = device.allocate(blocks_ * 8);
  state_ = device.allocate(sizeof(HydroState));
  ones_.assign(n, 1.0);
  start_energy_.assign(n, 0.0);
  start_energy_[0] = mesh.blast;
  next_step_ = device.kernel("hydro", "dp", "next_step");
  forces_ = device.kernel("hydro", "dp", "forces");
  nodes_ = device.kernel("hydro", "dp", "nodes");
  kinematics_ = device.kernel("hydro", "dp", "kinematics");
  material_ = device.kernel("hydro", "dp", "material");
}

void HydroDevice::reset() {
  start_ = {mesh_.first_step, 0, 0, 0, kHydroEnd};
  device_.write(state_, 0, &start_, sizeof start_, false);
  device_.write(x_, 0, mesh_.x.data(), x_.bytes(), false);
  device_.write(y_, 0, mesh_.y.data(), y_.bytes(), false);
  device_.write(z_, 0, mesh_.z.data(), z_.bytes(), false);
  device_.write(volume_, 0, ones_.data(), volume_.bytes(), false);
  device_.write(energy_, 0, start_energy_.data(), energy_.bytes(), false);
  for (const device::Buffer* b : {&vx_, &vy_, &vz_, &pressure_, &viscosity_, &sound_})
    device_.fill(*b, 0, 0, b->bytes());
  for (const device::Buffer* b : {&new_volume_, &length_, &growth_, &jump_xi_, &jump_eta_, &jump_zeta_, &size_xi_,
                                  &size_eta_, &size_zeta_, &fx_, &fy_, &fz_, &courant_, &hydro_}) {
    device_.fill(*b, 0, 0xffffffff, b->bytes());
  }
}

void HydroDevice::cycle() {
  const int n = mesh_.elements;
  device_.launch(next_step_, {1}, {kStepThreads}, state_, courant_, hydro_, static_cast<int>(blocks_));
  device_.launch(forces_, {blocks_for(n, kForceThreads)}, {kForceThreads}, state_, corners_, x_, y_, z_, vx_, vy_, vz_,
                 volume_0_, volume_, pressure_, viscosity_, sound_, fx_, fy_, fz_, n);
  device_.launch(nodes_, {blocks_for(mesh_.nodes, kThreads)}, {kThreads}, state_, gather_, planes_, mass_, fx_, fy_,
                 fz_, x_, y_, z_, vx_, vy_, vz_, mesh_.nodes);
  device_.launch(kinematics_, {blocks_}, {kThreads}, state_, corners_, x_, y_, z_, vx_, vy_, vz_, volume_0_,
                 new_volume_, length_, growth_, jump_xi_, jump_eta_, jump_zeta_, size_xi_, size_eta_, size_zeta_, n);
  device_.launch(material_, {blocks_}, {kThreads}, state_, neighbours_, new_volume_, length_, growth_, jump_xi_,
                 jump_eta_, jump_zeta_, size_xi_, size_eta_, size_zeta_, volume_, energy_, pressure_, viscosity_,
                 sound_, courant_, hydro_, n);
}

HydroState HydroDevice::state() {
  HydroState now{};
  device_.read(state_, 0, &now, sizeof now);
  return now;
}

void HydroDevice::solution(HydroSolution* out) {
  const auto fetch = [&](const device::Buffer& from, std::vector<double>& to) {
    to.resize(from.bytes() / sizeof(double));
    device_.read(from, 0, to.data(), from.bytes());
  };
  fetch(x_, out->x), fetch(y_, out->y), fetch(z_, out->z);
  fetch(vx_, out->vx), fetch(vy_, out->vy), fetch(vz_, out->vz);
  fetch(energy_, out->energy), fetch(volume_, out->volume);
}

HydroState HydroDevice::whole_run(int limit, HydroSolution* out) {
  reset();
  HydroState now{};
  do {
    cycle();
    now = state();
  } while (now.cycle < limit && now.time < kHydroEnd);
  solution(out);
  return now;
}

}  // namespace nm::workload::apps
