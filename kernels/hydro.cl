// variants: dp
// Hydro: one cycle of explicit Lagrangian shock hydrodynamics on hexahedra, five kernels. Positions and velocities live
// at nodes; energy, pressure, viscosity, volume and sound speed in elements. The mesh is unstructured: which nodes an
// element has, which elements touch it and which corners meet in a node are tables.
//
//   8 nodes of an element, (xi, eta, zeta):  0 ---  1 +--  2 ++-  3 -+-  4 --+  5 +-+  6 +++  7 -++
//
// What LULESH computes with 8 x 4 matrices of shape functions is written here with the three edge vectors of the
// element's middle (xi, eta, zeta) and their cross products, which comes to the same and needs fewer registers.
#include "dialect.h"

#ifndef __OPENCL_VERSION__
#pragma clang fp contract(fast)
#endif

// The device's own record of the run: nothing of it need travel to the host between cycles.
#define DT 0
#define TIME 1
#define CYCLE 2
#define STOPPED 3  // not 0: the end is reached, and every kernel leaves everything as it is
#define STOP_TIME 4

// Neighbours that are no elements.
#define SYMMETRY -1
#define FREE -2

#define THREADS 128

// An element's forces need two hundred registers; more such threads fit in small blocks.
#define FORCE_THREADS 64

// The middle's edge vectors, one component.
#define XI(a) (0.125 * (((a[1] - a[0]) + (a[2] - a[3])) + ((a[5] - a[4]) + (a[6] - a[7]))))
#define ETA(a) (0.125 * (((a[3] - a[0]) + (a[2] - a[1])) + ((a[7] - a[4]) + (a[6] - a[5]))))
#define ZETA(a) (0.125 * (((a[4] - a[0]) + (a[6] - a[2])) + ((a[5] - a[1]) + (a[7] - a[3]))))

// A quarter of the area of the face a b c d, outwards: one component, of the two others u and w.
#define FACE(u, w, a, b, c, d) (0.125 * ((u[d] - u[b]) * (w[c] - w[a]) - (w[d] - w[b]) * (u[c] - u[a])))

// The derivative of twelve times the volume by a node's position: a to f are its neighbours, in order about it.
#define BY_NODE(u, w, a, b, c, d, e, f)                                                   \
  (((u[b] + u[c]) * (w[a] + w[b]) - (u[a] + u[b]) * (w[b] + w[c])) +                      \
   ((u[a] + u[e]) * (w[d] + w[e]) - (u[d] + u[e]) * (w[a] + w[e])) +                      \
   ((u[d] + u[f]) * (w[c] + w[f]) - (u[c] + u[f]) * (w[d] + w[f])))
#define BY_NODES(g, u, w)                                        \
  g[0] = (1.0 / 12.0) * BY_NODE(u, w, 1, 2, 3, 4, 5, 7);         \
  g[1] = (1.0 / 12.0) * BY_NODE(u, w, 2, 3, 0, 5, 6, 4);         \
  g[2] = (1.0 / 12.0) * BY_NODE(u, w, 3, 0, 1, 6, 7, 5);         \
  g[3] = (1.0 / 12.0) * BY_NODE(u, w, 0, 1, 2, 7, 4, 6);         \
  g[4] = (1.0 / 12.0) * BY_NODE(u, w, 7, 6, 5, 0, 3, 1);         \
  g[5] = (1.0 / 12.0) * BY_NODE(u, w, 4, 7, 6, 1, 0, 2);         \
  g[6] = (1.0 / 12.0) * BY_NODE(u, w, 5, 4, 7, 2, 1, 3);         \
  g[7] = (1.0 / 12.0) * BY_NODE(u, w, 6, 5, 4, 3, 2, 0)

// The four hourglass modes, which no constant strain has: eta zeta, xi zeta, xi eta, and -(xi eta zeta).
#define MODE_0(a) (((a[0] + a[1]) + (a[6] + a[7])) - ((a[2] + a[3]) + (a[4] + a[5])))
#define MODE_1(a) (((a[0] + a[3]) + (a[5] + a[6])) - ((a[1] + a[2]) + (a[4] + a[7])))
#define MODE_2(a) (((a[0] + a[2]) + (a[4] + a[6])) - ((a[1] + a[3]) + (a[5] + a[7])))
#define MODE_3(a) (((a[1] + a[3]) + (a[4] + a[6])) - ((a[0] + a[2]) + (a[5] + a[7])))

// Three Halley steps from a guess by the exponent, each of which triples the digits.
DEVICE double cube_root(double x) {
  double y = AS_FLOAT(AS_UINT((float)x) / 3u + 0x2a514067u);
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    const double cube = y * y * y;
    y = y * ((cube + 2.0 * x) / (2.0 * cube + x));
  }
  return y;
}

#define LOAD_CORNERS(a, from)          \
  {                                    \
    _Pragma("unroll")                  \
    for (int c = 0; c < 8; ++c) a[c] = from[node[c]]; \
  }

// One component of the force on an element's eight corners: what pressure and viscosity push, and what damps the
// hourglass modes (Flanagan and Belytschko). u and w are the two other coordinates, in cyclic order.
#define CORNER_FORCES(velocity, u, w, out)                                                                  \
  {                                                                                                         \
    double s[8];                                                                                            \
    LOAD_CORNERS(s, velocity);                                                                              \
    double gx = 0, gy = 0, gz = 0;                                                                          \
    _Pragma("unroll") for (int c = 0; c < 8; ++c) {                                                         \
      gx += bx[c] * s[c];                                                                                   \
      gy += by[c] * s[c];                                                                                   \
      gz += bz[c] * s[c];                                                                                   \
    }                                                                                                       \
    const double h0 = MODE_0(s) - inverse * (mx0 * gx + my0 * gy + mz0 * gz);                               \
    const double h1 = MODE_1(s) - inverse * (mx1 * gx + my1 * gy + mz1 * gz);                               \
    const double h2 = MODE_2(s) - inverse * (mx2 * gx + my2 * gy + mz2 * gz);                               \
    const double h3 = MODE_3(s) - inverse * (mx3 * gx + my3 * gy + mz3 * gz);                               \
    const double kx = inverse * (mx0 * h0 + mx1 * h1 + mx2 * h2 + mx3 * h3);                                \
    const double ky = inverse * (my0 * h0 + my1 * h1 + my2 * h2 + my3 * h3);                                \
    const double kz = inverse * (mz0 * h0 + mz1 * h1 + mz2 * h2 + mz3 * h3);                                \
    const double f0 = FACE(u, w, 0, 1, 2, 3), f1 = FACE(u, w, 0, 4, 5, 1), f2 = FACE(u, w, 1, 5, 6, 2);     \
    const double f3 = FACE(u, w, 2, 6, 7, 3), f4 = FACE(u, w, 3, 7, 4, 0), f5 = FACE(u, w, 4, 7, 6, 5);     \
    s[0] = stress * (f0 + f1 + f4) + damping * (h0 + h1 + h2 - h3);                                         \
    s[1] = stress * (f0 + f1 + f2) + damping * (h0 - h1 - h2 + h3);                                         \
    s[2] = stress * (f0 + f2 + f3) + damping * (h2 - h0 - h1 - h3);                                         \
    s[3] = stress * (f0 + f3 + f4) + damping * (h1 - h0 - h2 + h3);                                         \
    s[4] = stress * (f1 + f4 + f5) + damping * (h2 - h0 - h1 + h3);                                         \
    s[5] = stress * (f1 + f2 + f5) + damping * (h1 - h0 - h2 - h3);                                         \
    s[6] = stress * (f2 + f3 + f5) + damping * (h0 + h1 + h2 + h3);                                         \
    s[7] = stress * (f3 + f4 + f5) + damping * (h0 - h1 - h2 - h3);                                         \
    _Pragma("unroll") for (int c = 0; c < 8; ++c) {                                                         \
      out[c * n + e] = s[c] - damping * (bx[c] * kx + by[c] * ky + bz[c] * kz);                             \
    }                                                                                                       \
  }

// An element's forces, each corner's by itself: corner c of element e at c * n + e.
KERNEL void MAX_THREADS(FORCE_THREADS)
    forces(GLOBAL const double* RESTRICT state, GLOBAL const int* RESTRICT corners, GLOBAL const double* RESTRICT px,
           GLOBAL const double* RESTRICT py, GLOBAL const double* RESTRICT pz, GLOBAL const double* RESTRICT vx,
           GLOBAL const double* RESTRICT vy, GLOBAL const double* RESTRICT vz, GLOBAL const double* RESTRICT volume_0,
           GLOBAL const double* RESTRICT volume, GLOBAL const double* RESTRICT pressure,
           GLOBAL const double* RESTRICT viscosity, GLOBAL const double* RESTRICT sound, GLOBAL double* RESTRICT fx,
           GLOBAL double* RESTRICT fy, GLOBAL double* RESTRICT fz, int n) {
  const int e = GLOBAL_X;
  if (e >= n || state[STOPPED] != 0.0) return;
  int node[8];
#pragma unroll
  for (int c = 0; c < 8; ++c) node[c] = corners[c * n + e];
  double x[8], y[8], z[8];
  LOAD_CORNERS(x, px);
  LOAD_CORNERS(y, py);
  LOAD_CORNERS(z, pz);
  // All below depends on differences only; small numbers lose fewer digits.
  const double x0 = x[0], y0 = y[0], z0 = z[0];
#pragma unroll
  for (int c = 0; c < 8; ++c) {
    x[c] -= x0;
    y[c] -= y0;
    z[c] -= z0;
  }
  double bx[8], by[8], bz[8];
  BY_NODES(bx, y, z);
  BY_NODES(by, z, x);
  BY_NODES(bz, x, y);
  const double mx0 = MODE_0(x), mx1 = MODE_1(x), mx2 = MODE_2(x), mx3 = MODE_3(x);
  const double my0 = MODE_0(y), my1 = MODE_1(y), my2 = MODE_2(y), my3 = MODE_3(y);
  const double mz0 = MODE_0(z), mz1 = MODE_1(z), mz2 = MODE_2(z), mz3 = MODE_3(z);
  const double mass = volume_0[e];  // the density is 1 at first
  const double now = mass * volume[e];
  const double inverse = 1.0 / now;
  const double stress = pressure[e] + viscosity[e];
  const double damping = -0.03 * sound[e] * mass / cube_root(now);
  CORNER_FORCES(vx, y, z, fx);
  CORNER_FORCES(vy, z, x, fy);
  CORNER_FORCES(vz, x, y, fz);
}

// A node gathers the forces of up to eight corners, and moves. `gather` is corners * nodes of a corner's place in the
// forces, or -1; `planes` says in its bits 0 to 2 which planes of symmetry hold the node.
KERNEL void MAX_THREADS(THREADS)
    nodes(GLOBAL const double* RESTRICT state, GLOBAL const int* RESTRICT gather, GLOBAL const int* RESTRICT planes,
          GLOBAL const double* RESTRICT mass, GLOBAL const double* RESTRICT fx, GLOBAL const double* RESTRICT fy,
          GLOBAL const double* RESTRICT fz, GLOBAL double* RESTRICT px, GLOBAL double* RESTRICT py,
          GLOBAL double* RESTRICT pz, GLOBAL double* RESTRICT vx, GLOBAL double* RESTRICT vy,
          GLOBAL double* RESTRICT vz, int n) {
  const int i = GLOBAL_X;
  if (i >= n || state[STOPPED] != 0.0) return;
  double sx = 0, sy = 0, sz = 0;
#pragma unroll
  for (int c = 0; c < 8; ++c) {
    const int at = gather[c * n + i];
    if (at >= 0) {
      sx += fx[at];
      sy += fy[at];
      sz += fz[at];
    }
  }
  const double dt = state[DT], inertia = mass[i];
  const int held = planes[i];
  const double ux = vx[i] + ((held & 1) ? 0.0 : sx / inertia) * dt;
  const double uy = vy[i] + ((held & 2) ? 0.0 : sy / inertia) * dt;
  const double uz = vz[i] + ((held & 4) ? 0.0 : sz / inertia) * dt;
  // What is slower stands still.
  const double cut = 1e-7;
  const double wx = ux < cut && ux > -cut ? 0.0 : ux;
  const double wy = uy < cut && uy > -cut ? 0.0 : uy;
  const double wz = uz < cut && uz > -cut ? 0.0 : uz;
  vx[i] = wx;
  vy[i] = wy;
  vz[i] = wz;
  px[i] += wx * dt;
  py[i] += wy * dt;
  pz[i] += wz * dt;
}

#define CROSS_X(a, b) (a##y * b##z - a##z * b##y)
#define CROSS_Y(a, b) (a##z * b##x - a##x * b##z)
#define CROSS_Z(a, b) (a##x * b##y - a##y * b##x)
#define DOT(a, b) (a##x * b##x + a##y * b##y + a##z * b##z)
#define DECLARE_CROSS(c, a, b) const double c##x = CROSS_X(a, b), c##y = CROSS_Y(a, b), c##z = CROSS_Z(a, b)
#define DECLARE_EDGE(d, i, j) const double d##x = x[i] - x[j], d##y = y[i] - y[j], d##z = z[i] - z[j]
#define TRIPLE(ax, ay, az, b, c) ((ax) * CROSS_X(b, c) + (ay) * CROSS_Y(b, c) + (az) * CROSS_Z(b, c))

// Four times the square of the area of the face whose diagonals are d and f.
DEVICE double diagonals(double dx, double dy, double dz, double fx, double fy, double fz) {
  const double ax = dy * fz - dz * fy, ay = dz * fx - dx * fz, az = dx * fy - dy * fx;
  return ax * ax + ay * ay + az * az;
}

// The element's new volume and its change, its length along the shortest way through, the rate at which it grows, and
// the differences of velocity across it that the viscosity is made of.
KERNEL void MAX_THREADS(THREADS)
    kinematics(GLOBAL const double* RESTRICT state, GLOBAL const int* RESTRICT corners,
               GLOBAL const double* RESTRICT px, GLOBAL const double* RESTRICT py, GLOBAL const double* RESTRICT pz,
               GLOBAL const double* RESTRICT vx, GLOBAL const double* RESTRICT vy, GLOBAL const double* RESTRICT vz,
               GLOBAL const double* RESTRICT volume_0, GLOBAL double* RESTRICT new_volume,
               GLOBAL double* RESTRICT length, GLOBAL double* RESTRICT growth, GLOBAL double* RESTRICT jump_xi,
               GLOBAL double* RESTRICT jump_eta, GLOBAL double* RESTRICT jump_zeta, GLOBAL double* RESTRICT size_xi,
               GLOBAL double* RESTRICT size_eta, GLOBAL double* RESTRICT size_zeta, int n) {
  const int e = GLOBAL_X;
  if (e >= n || state[STOPPED] != 0.0) return;
  int node[8];
#pragma unroll
  for (int c = 0; c < 8; ++c) node[c] = corners[c * n + e];
  double x[8], y[8], z[8];
  LOAD_CORNERS(x, px);
  LOAD_CORNERS(y, py);
  LOAD_CORNERS(z, pz);

  DECLARE_EDGE(d61, 6, 1);
  DECLARE_EDGE(d70, 7, 0);
  DECLARE_EDGE(d63, 6, 3);
  DECLARE_EDGE(d20, 2, 0);
  DECLARE_EDGE(d50, 5, 0);
  DECLARE_EDGE(d64, 6, 4);
  DECLARE_EDGE(d31, 3, 1);
  DECLARE_EDGE(d72, 7, 2);
  DECLARE_EDGE(d43, 4, 3);
  DECLARE_EDGE(d57, 5, 7);
  DECLARE_EDGE(d14, 1, 4);
  DECLARE_EDGE(d25, 2, 5);
  const double volume = (1.0 / 12.0) * (TRIPLE(d31x + d72x, d31y + d72y, d31z + d72z, d63, d20) +
                                        TRIPLE(d43x + d57x, d43y + d57y, d43z + d57z, d64, d70) +
                                        TRIPLE(d14x + d25x, d14y + d25y, d14z + d25z, d61, d50));
  new_volume[e] = volume / volume_0[e];

  double largest = diagonals(d20x, d20y, d20z, d31x, d31y, d31z);
  double next = diagonals(d64x, d64y, d64z, d57x, d57y, d57z);
  largest = next > largest ? next : largest;
  next = diagonals(d50x, d50y, d50z, d14x, d14y, d14z);
  largest = next > largest ? next : largest;
  next = diagonals(d61x, d61y, d61z, d25x, d25y, d25z);
  largest = next > largest ? next : largest;
  next = diagonals(d72x, d72y, d72z, d63x, d63y, d63z);
  largest = next > largest ? next : largest;
  next = diagonals(d43x, d43y, d43z, d70x, d70y, d70z);
  largest = next > largest ? next : largest;
  length[e] = 2.0 * volume / SQRT(largest);

  const double ax = XI(x), ay = XI(y), az = XI(z), bx = ETA(x), by = ETA(y), bz = ETA(z);
  const double cx = ZETA(x), cy = ZETA(y), cz = ZETA(z);
  LOAD_CORNERS(x, vx);
  LOAD_CORNERS(y, vy);
  LOAD_CORNERS(z, vz);
  const double ux = XI(x), uy = XI(y), uz = XI(z), vvx = ETA(x), vvy = ETA(y), vvz = ETA(z);
  const double wx = ZETA(x), wy = ZETA(y), wz = ZETA(z);

  // At the end of the step: how far across, and how much faster the far side is.
  const double tiny = 1e-36, rate = 8.0 / (volume + tiny);
  {
    DECLARE_CROSS(p, b, c);
    DECLARE_CROSS(q, c, a);
    DECLARE_CROSS(r, a, b);
    size_xi[e] = volume / SQRT(16.0 * DOT(p, p) + tiny);
    size_eta[e] = volume / SQRT(16.0 * DOT(q, q) + tiny);
    size_zeta[e] = volume / SQRT(16.0 * DOT(r, r) + tiny);
    jump_xi[e] = rate * DOT(p, u);
    jump_eta[e] = rate * DOT(q, vv);
    jump_zeta[e] = rate * DOT(r, w);
  }
  // In its middle: the trace of the velocity's gradient.
  const double back = 0.5 * state[DT];
  const double hx = ax - back * ux, hy = ay - back * uy, hz = az - back * uz;
  const double ix = bx - back * vvx, iy = by - back * vvy, iz = bz - back * vvz;
  const double jx = cx - back * wx, jy = cy - back * wy, jz = cz - back * wz;
  DECLARE_CROSS(f, i, j);
  DECLARE_CROSS(g, j, h);
  DECLARE_CROSS(k, h, i);
  growth[e] = (DOT(f, u) + DOT(g, vv) + DOT(k, w)) / DOT(i, g);
}

// How much of a jump is smooth: 1 where the neighbours' are as large, 0 at a shock.
DEVICE double smoothness(GLOBAL const double* jump, double own, int below, int above) {
  const double norm = 1.0 / (own + 1e-36);
  const double m = (below >= 0 ? jump[below] : below == SYMMETRY ? own : 0.0) * norm;
  const double p = (above >= 0 ? jump[above] : above == SYMMETRY ? own : 0.0) * norm;
  double phi = 0.5 * (m + p);
  phi = 2.0 * m < phi ? 2.0 * m : phi;
  phi = 2.0 * p < phi ? 2.0 * p : phi;
  phi = phi < 0.0 ? 0.0 : phi;
  return phi > 1.0 ? 1.0 : phi;
}

DEVICE double pressure_of(double energy, double slope) {
  const double p = slope * energy;
  return p < 1e-7 ? 0.0 : p;  // none below zero, and none so small
}

DEVICE double speed_of(double energy, double volume, double slope, double p) {
  const double square = (2.0 / 3.0) * energy + volume * volume * slope * p;
  return square <= 0.1111111e-36 ? 0.3333333e-18 : SQRT(square);
}

DEVICE double cut_energy(double energy) {
  const double cut = 1e-7;
  if (energy < cut && energy > -cut) return 0.0;
  return energy < -1e15 ? -1e15 : energy;
}

// Viscosity, energy and pressure of the new volume, the sound speed, and the longest step that they allow: of each
// block the smallest of the Courant and the hydro constraint.
KERNEL void MAX_THREADS(THREADS)
    material(GLOBAL const double* RESTRICT state, GLOBAL const int* RESTRICT neighbours,
             GLOBAL const double* RESTRICT new_volume, GLOBAL const double* RESTRICT length,
             GLOBAL const double* RESTRICT growth, GLOBAL const double* RESTRICT jump_xi,
             GLOBAL const double* RESTRICT jump_eta, GLOBAL const double* RESTRICT jump_zeta,
             GLOBAL const double* RESTRICT size_xi, GLOBAL const double* RESTRICT size_eta,
             GLOBAL const double* RESTRICT size_zeta,
             GLOBAL double* RESTRICT volume, GLOBAL double* RESTRICT energy, GLOBAL double* RESTRICT pressure,
             GLOBAL double* RESTRICT viscosity, GLOBAL double* RESTRICT sound, GLOBAL double* RESTRICT courant_of,
             GLOBAL double* RESTRICT hydro_of, int n) {
  SHARED double least_courant[THREADS];
  SHARED double least_hydro[THREADS];
  const int e = GLOBAL_X;
  const int running = state[STOPPED] == 0.0;
  double courant = 1e20, hydro = 1e20;
  if (e < n && running) {
    const double v = new_volume[e], rate = growth[e];
    double linear = 0.0, quadratic = 0.0;
    if (!(rate > 0.0)) {
      const double own_xi = jump_xi[e], own_eta = jump_eta[e], own_zeta = jump_zeta[e];
      const double s_xi = smoothness(jump_xi, own_xi, neighbours[e], neighbours[n + e]);
      const double s_eta = smoothness(jump_eta, own_eta, neighbours[2 * n + e], neighbours[3 * n + e]);
      const double s_zeta = smoothness(jump_zeta, own_zeta, neighbours[4 * n + e], neighbours[5 * n + e]);
      double d_xi = own_xi * size_xi[e], d_eta = own_eta * size_eta[e], d_zeta = own_zeta * size_zeta[e];
      d_xi = d_xi > 0.0 ? 0.0 : d_xi;
      d_eta = d_eta > 0.0 ? 0.0 : d_eta;
      d_zeta = d_zeta > 0.0 ? 0.0 : d_zeta;
      const double density = 1.0 / v;
      linear = -0.5 * density * (d_xi * (1.0 - s_xi) + d_eta * (1.0 - s_eta) + d_zeta * (1.0 - s_zeta));
      quadratic = (2.0 / 3.0) * density *
                  (d_xi * d_xi * (1.0 - s_xi * s_xi) + d_eta * d_eta * (1.0 - s_eta * s_eta) +
                   d_zeta * d_zeta * (1.0 - s_zeta * s_zeta));
    }

    // The energy, by a predictor at half the step and two correctors.
    const double change = v - volume[e];
    const double half_v = v - 0.5 * change;
    const double slope = (2.0 / 3.0) / v, half_slope = (2.0 / 3.0) / half_v;
    const double old_p = pressure[e], old_q = viscosity[e];
    double en = energy[e] - 0.5 * change * (old_p + old_q);
    en = en < -1e15 ? -1e15 : en;
    const double half_p = pressure_of(en, half_slope);
    double q = change > 0.0 ? 0.0 : speed_of(en, half_v, half_slope, half_p) * linear + quadratic;
    en = cut_energy(en + 0.5 * change * (3.0 * (old_p + old_q) - 4.0 * (half_p + q)));
    double p = pressure_of(en, slope);
    const double q_again = change > 0.0 ? 0.0 : speed_of(en, v, slope, p) * linear + quadratic;
    en = cut_energy(en - (7.0 * (old_p + old_q) - 8.0 * (half_p + q) + (p + q_again)) * change * (1.0 / 6.0));
    p = pressure_of(en, slope);
    const double speed = speed_of(en, v, slope, p);
    if (!(change > 0.0)) {
      q = speed * linear + quadratic;
      q = q < 1e-7 && q > -1e-7 ? 0.0 : q;
    }
    energy[e] = en;
    pressure[e] = p;
    viscosity[e] = q;
    sound[e] = speed;
    volume[e] = v - 1.0 < 1e-10 && v - 1.0 > -1e-10 ? 1.0 : v;

    if (rate != 0.0) {
      const double across = length[e];
      double square = speed * speed;
      if (rate < 0.0) square += 256.0 * across * across * rate * rate;
      courant = across / SQRT(square);
      hydro = 0.1 / ((rate < 0.0 ? -rate : rate) + 1e-20);
    }
  }
  const int t = THREAD_X;
  least_courant[t] = courant;
  least_hydro[t] = hydro;
  BARRIER();
  for (int step = THREADS / 2; step > 0; step /= 2) {
    if (t < step) {
      if (least_courant[t + step] < least_courant[t]) least_courant[t] = least_courant[t + step];
      if (least_hydro[t + step] < least_hydro[t]) least_hydro[t] = least_hydro[t + step];
    }
    BARRIER();
  }
  if (t == 0 && running) {
    courant_of[BLOCK_X] = least_courant[0];
    hydro_of[BLOCK_X] = least_hydro[0];
  }
}

#define STEP_THREADS 512

// One block: the next step, from what all blocks of `material` allowed; or the end.
KERNEL void MAX_THREADS(STEP_THREADS)
    next_step(GLOBAL double* RESTRICT state, GLOBAL const double* RESTRICT courant_of,
              GLOBAL const double* RESTRICT hydro_of, int blocks) {
  SHARED double least_courant[STEP_THREADS];
  SHARED double least_hydro[STEP_THREADS];
  const int t = THREAD_X;
  double courant = 1e20, hydro = 1e20;
#pragma unroll 4
  for (int i = t; i < blocks; i += STEP_THREADS) {
    const double next_courant = courant_of[i], next_hydro = hydro_of[i];
    courant = next_courant < courant ? next_courant : courant;
    hydro = next_hydro < hydro ? next_hydro : hydro;
  }
  least_courant[t] = courant;
  least_hydro[t] = hydro;
  BARRIER();
  for (int step = STEP_THREADS / 2; step > 0; step /= 2) {
    if (t < step) {
      if (least_courant[t + step] < least_courant[t]) least_courant[t] = least_courant[t + step];
      if (least_hydro[t + step] < least_hydro[t]) least_hydro[t] = least_hydro[t + step];
    }
    BARRIER();
  }
  if (t == 0) {
    const double time = state[TIME];
    if (!(time < state[STOP_TIME])) {
      state[STOPPED] = 1.0;
    } else {
      double dt = state[DT];
      // The first step is as it was set.
      if (state[CYCLE] != 0.0) {
        double next = 1e20;
        if (least_courant[0] < next) next = least_courant[0] / 2.0;
        if (least_hydro[0] < next) next = least_hydro[0] * 2.0 / 3.0;
        const double ratio = next / dt;
        if (ratio >= 1.0) next = ratio < 1.1 ? dt : ratio > 1.2 ? dt * 1.2 : next;
        dt = next > 1e-2 ? 1e-2 : next;
      }
      // Two steps of like lengths at the end rather than one full and one tiny.
      double left = state[STOP_TIME] - time;
      if (left > dt && left < 4.0 * dt / 3.0) left = 2.0 * dt / 3.0;
      dt = left < dt ? left : dt;
      state[DT] = dt;
      state[TIME] = time + dt;
      state[CYCLE] += 1.0;
    }
  }
}
