#include "workload/apps/hydro_reference.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace nm::workload::apps {
namespace {

struct Vector {
  double x = 0, y = 0, z = 0;
};
Vector operator+(Vector a, Vector b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
Vector operator-(Vector a, Vector b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
Vector operator*(double s, Vector a) { return {s * a.x, s * a.y, s * a.z}; }
double dot(Vector a, Vector b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
Vector cross(Vector a, Vector b) { return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x}; }

using Corners = std::array<Vector, 8>;

// Where a corner is in the element's own coordinates, and its faces with their corners in order, outwards.
constexpr int kSign[8][3] = {{-1, -1, -1}, {1, -1, -1}, {1, 1, -1}, {-1, 1, -1},
                             {-1, -1, 1},  {1, -1, 1},  {1, 1, 1},  {-1, 1, 1}};
constexpr int kFaces[6][4] = {{0, 1, 2, 3}, {0, 4, 5, 1}, {1, 5, 6, 2}, {2, 6, 7, 3}, {3, 7, 4, 0}, {4, 7, 6, 5}};

double volume_of(const Corners& p) {
  const auto edge = [&](int i, int j) { return p[static_cast<size_t>(i)] - p[static_cast<size_t>(j)]; };
  return (dot(edge(3, 1) + edge(7, 2), cross(edge(6, 3), edge(2, 0))) +
          dot(edge(4, 3) + edge(5, 7), cross(edge(6, 4), edge(7, 0))) +
          dot(edge(1, 4) + edge(2, 5), cross(edge(6, 1), edge(5, 0)))) /
         12;
}

// The volume is linear in each single corner's position, so a difference is its derivative, whatever its length.
Corners volume_by_corner(const Corners& p) {
  Corners gradient;
  const double length = std::sqrt(dot(p[6] - p[0], p[6] - p[0]));
  for (size_t c = 0; c < 8; ++c) {
    const auto along = [&](Vector step) {
      Corners ahead = p, behind = p;
      ahead[c] = p[c] + step;
      behind[c] = p[c] - step;
      return (volume_of(ahead) - volume_of(behind)) / (2 * length);
    };
    gradient[c] = {along({length, 0, 0}), along({0, length, 0}), along({0, 0, length})};
  }
  return gradient;
}

// The derivative of a field over the element by its own coordinate `axis`, in its middle.
Vector along_axis(const Corners& field, int axis) {
  Vector sum;
  for (size_t c = 0; c < 8; ++c) sum = sum + 0.125 * kSign[c][axis] * field[c];
  return sum;
}

double cut_below(double value, double cut) { return std::abs(value) < cut ? 0.0 : value; }

}  // namespace

HydroReference::HydroReference(HydroMesh mesh) : mesh_(std::move(mesh)), dt_(mesh_.first_step) {
  x = mesh_.x, y = mesh_.y, z = mesh_.z;
  vx.resize(x.size()), vy.resize(x.size()), vz.resize(x.size());
  const auto n = static_cast<size_t>(mesh_.elements);
  volume.assign(n, 1.0);
  energy.resize(n), pressure.resize(n), viscosity.resize(n), sound.resize(n);
  energy[0] = mesh_.blast;
}

bool HydroReference::cycle() {
  if (time_ >= kHydroEnd) return false;
  next_step();
  move_nodes();
  update_elements();
  return true;
}

void HydroReference::next_step() {
  if (cycles_ > 0) {
    double next = 1e20;
    if (courant_ < next) next = courant_ / 2;
    if (hydro_ < next) next = hydro_ * 2 / 3;
    if (next >= dt_) next = next < 1.1 * dt_ ? dt_ : std::min(next, 1.2 * dt_);
    dt_ = std::min(next, 1e-2);
  }
  double left = kHydroEnd - time_;
  if (left > dt_ && left < 4 * dt_ / 3) left = 2 * dt_ / 3;
  dt_ = std::min(dt_, left);
  time_ += dt_;
  ++cycles_;
}

void HydroReference::move_nodes() {
  std::vector<Vector> force(x.size());
  for (size_t e = 0; e < mesh_.corners.size(); ++e) {
    const double stress = pressure[e] + viscosity[e];
    Corners p, v;
    double fastest = 0;
    for (size_t c = 0; c < 8; ++c) {
      const auto node = static_cast<size_t>(mesh_.corners[e][c]);
      p[c] = {x[node], y[node], z[node]};
      v[c] = {vx[node], vy[node], vz[node]};
      fastest = std::max(fastest, dot(v[c], v[c]));
    }
    if (stress == 0 && fastest == 0) continue;  // all forces are zero
    Corners f{};
    for (const auto& face : kFaces) {
      const Vector a = p[static_cast<size_t>(face[0])], b = p[static_cast<size_t>(face[1])];
      const Vector c = p[static_cast<size_t>(face[2])], d = p[static_cast<size_t>(face[3])];
      const Vector quarter = 0.25 * cross(0.5 * (d + c - b - a), 0.5 * (c + b - d - a));
      for (const int corner : face) f[static_cast<size_t>(corner)] = f[static_cast<size_t>(corner)] + stress * quarter;
    }
    // Flanagan and Belytschko: the four modes, made orthogonal to every linear field.
    const double now = mesh_.volume[e] * volume[e];
    const Corners gradient = volume_by_corner(p);
    const double damping = -3.0 * 0.01 * sound[e] * mesh_.volume[e] / std::cbrt(now);
    for (int mode = 0; mode < 4; ++mode) {
      double shape[8];
      Vector bent;
      for (size_t c = 0; c < 8; ++c) {
        const int* s = kSign[c];
        shape[c] = mode == 0 ? s[1] * s[2] : mode == 1 ? s[0] * s[2] : mode == 2 ? s[0] * s[1] : s[0] * s[1] * s[2];
        bent = bent + shape[c] * p[c];
      }
      Vector speed;
      for (size_t c = 0; c < 8; ++c) {
        shape[c] -= dot(gradient[c], bent) / now;
        speed = speed + shape[c] * v[c];
      }
      for (size_t c = 0; c < 8; ++c) f[c] = f[c] + damping * shape[c] * speed;
    }
    for (size_t c = 0; c < 8; ++c) {
      Vector& sum = force[static_cast<size_t>(mesh_.corners[e][c])];
      sum = sum + f[c];
    }
  }
  for (size_t i = 0; i < x.size(); ++i) {
    const int held = mesh_.planes[i];
    vx[i] = cut_below(vx[i] + (held & 1 ? 0 : force[i].x / mesh_.mass[i]) * dt_, 1e-7);
    vy[i] = cut_below(vy[i] + (held & 2 ? 0 : force[i].y / mesh_.mass[i]) * dt_, 1e-7);
    vz[i] = cut_below(vz[i] + (held & 4 ? 0 : force[i].z / mesh_.mass[i]) * dt_, 1e-7);
    x[i] += vx[i] * dt_;
    y[i] += vy[i] * dt_;
    z[i] += vz[i] * dt_;
  }
}

void HydroReference::update_elements() {
  const size_t n = mesh_.corners.size();
  std::vector<double> new_volume(n), length(n), growth(n);
  std::vector<std::array<double, 3>> jump(n), size(n);
  for (size_t e = 0; e < n; ++e) {
    Corners p, v, middle;
    for (size_t c = 0; c < 8; ++c) {
      const auto node = static_cast<size_t>(mesh_.corners[e][c]);
      p[c] = {x[node], y[node], z[node]};
      v[c] = {vx[node], vy[node], vz[node]};
      middle[c] = p[c] - 0.5 * dt_ * v[c];
    }
    const double now = volume_of(p);
    new_volume[e] = now / mesh_.volume[e];
    double largest = 0;
    for (const auto& face : kFaces) {
      const Vector d = p[static_cast<size_t>(face[2])] - p[static_cast<size_t>(face[0])];
      const Vector f = p[static_cast<size_t>(face[3])] - p[static_cast<size_t>(face[1])];
      largest = std::max(largest, std::sqrt(dot(cross(d, f), cross(d, f))));
    }
    length[e] = 2 * now / largest;
    growth[e] = 0;
    for (int axis = 0; axis < 3; ++axis) {
      const int next = (axis + 1) % 3, last = (axis + 2) % 3;
      // Across the element from face to opposite face: twice the middle's derivative.
      const Vector area = 4.0 * cross(along_axis(p, next), along_axis(p, last));
      const auto a = static_cast<size_t>(axis);
      size[e][a] = now / std::sqrt(dot(area, area) + 1e-36);
      jump[e][a] = 2 * dot(area, along_axis(v, axis)) / (now + 1e-36);
      const Vector inner = cross(along_axis(middle, next), along_axis(middle, last));
      growth[e] += dot(inner, along_axis(v, axis)) / dot(inner, along_axis(middle, axis));
    }
  }
  courant_ = hydro_ = 1e20;
  for (size_t e = 0; e < n; ++e) {
    double linear = 0, quadratic = 0;
    if (growth[e] <= 0) {
      for (size_t axis = 0; axis < 3; ++axis) {
        const double own = jump[e][axis], norm = 1 / (own + 1e-36);
        double side[2];
        for (size_t s = 0; s < 2; ++s) {
          const int other = mesh_.neighbours[e][2 * axis + s];
          side[s] = norm * (other >= 0 ? jump[static_cast<size_t>(other)][axis] : other == kSymmetry ? own : 0.0);
        }
        const double smooth = std::clamp(std::min({0.5 * (side[0] + side[1]), 2 * side[0], 2 * side[1]}), 0.0, 1.0);
        const double d = std::min(own * size[e][axis], 0.0);
        linear -= 0.5 / new_volume[e] * d * (1 - smooth);
        quadratic += 2.0 / 3.0 / new_volume[e] * d * d * (1 - smooth * smooth);
      }
    }
    const double change = new_volume[e] - volume[e], half = new_volume[e] - change / 2,
                 before = pressure[e] + viscosity[e];
    const bool grows = change > 0;
    const auto pressure_at = [](double en, double v) { return std::max(cut_below(2.0 / 3.0 / v * en, 1e-7), 0.0); };
    const auto sound_at = [](double en, double v, double p) {
      const double square = 2.0 / 3.0 * en + v * v * (2.0 / 3.0 / v) * p;
      return square <= 0.1111111e-36 ? 0.3333333e-18 : std::sqrt(square);
    };
    const auto viscosity_at = [&](double en, double v, double p) {
      return grows ? 0.0 : sound_at(en, v, p) * linear + quadratic;
    };
    const auto bounded = [](double en) { return std::max(en, -1e15); };
    double en = bounded(energy[e] - 0.5 * change * before);
    const double half_p = pressure_at(en, half), half_q = viscosity_at(en, half, half_p);
    en = bounded(cut_below(en + 0.5 * change * (3 * before - 4 * (half_p + half_q)), 1e-7));
    const double p = pressure_at(en, new_volume[e]), q = viscosity_at(en, new_volume[e], p);
    en = bounded(cut_below(en - (7 * before - 8 * (half_p + half_q) + (p + q)) * change / 6, 1e-7));
    energy[e] = en;
    pressure[e] = pressure_at(en, new_volume[e]);
    viscosity[e] = cut_below(viscosity_at(en, new_volume[e], pressure[e]), 1e-7);
    sound[e] = sound_at(en, new_volume[e], pressure[e]);
    volume[e] = std::abs(new_volume[e] - 1) < 1e-10 ? 1.0 : new_volume[e];

    if (growth[e] != 0) {
      double square = sound[e] * sound[e];
      if (growth[e] < 0) square += 64 * 2.0 * 2.0 * length[e] * length[e] * growth[e] * growth[e];
      courant_ = std::min(courant_, length[e] / std::sqrt(square));
      hydro_ = std::min(hydro_, 0.1 / (std::abs(growth[e]) + 1e-20));
    }
  }
}

}  // namespace nm::workload::apps
