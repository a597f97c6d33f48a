#include "client/statistics.h"

#include "client/lane_copy.h"

#include <stdio.h>

#include <algorithm>
#include <array>
#include <vector>

#include "client/channel.h"
#include "wire_ops.h"

namespace nm::client {
namespace {

constexpr size_t kOps = 2048;  // more than any operation's id

struct Cost {
  std::atomic<uint64_t> posted{0}, waited{0}, bytes_out{0}, bytes_in{0}, microseconds{0};
};
using Costs = std::array<Cost, kOps>;
Costs* g_costs = nullptr;

constinit std::atomic<uint64_t> g_images_sent{0}, g_image_bytes_sent{0}, g_images_found{0}, g_image_bytes_found{0},
    g_image_bytes_left_out{0};

void add(std::atomic<uint64_t>& to, uint64_t n) { to.fetch_add(n, std::memory_order_relaxed); }
unsigned long long number(const std::atomic<uint64_t>& n) { return n.load(std::memory_order_relaxed); }

}  // namespace

constinit std::atomic<bool> Statistics::on_{false};

void Statistics::start() {
  g_costs = new Costs;  // lives as long as the process: other threads may call while it exits
  on_.store(true, std::memory_order_release);
}

void Statistics::posted(uint16_t op, uint64_t bytes_out) {
  Cost& c = (*g_costs)[op % kOps];
  add(c.posted, 1);
  add(c.bytes_out, bytes_out);
}

void Statistics::waited(uint16_t op, uint64_t bytes_out, uint64_t bytes_in, uint64_t microseconds) {
  Cost& c = (*g_costs)[op % kOps];
  add(c.waited, 1);
  add(c.bytes_out, bytes_out);
  add(c.bytes_in, bytes_in);
  add(c.microseconds, microseconds);
}

void Statistics::image_sent(uint64_t bytes) {
  add(g_images_sent, 1);
  add(g_image_bytes_sent, bytes);
}

void Statistics::image_found(uint64_t bytes) {
  add(g_images_found, 1);
  add(g_image_bytes_found, bytes);
}

void Statistics::image_left_out(uint64_t bytes) { add(g_image_bytes_left_out, bytes); }

void Statistics::print(const Channel& channel, uint64_t local) {
  if (!wanted()) return;
  std::vector<uint16_t> used;
  for (uint16_t op = 0; op < kOps; op++) {
    const Cost& c = (*g_costs)[op];
    if (number(c.posted) + number(c.waited)) used.push_back(op);
  }
  std::sort(used.begin(), used.end(), [](uint16_t a, uint16_t b) {
    const Cost &x = (*g_costs)[a], &y = (*g_costs)[b];
    if (number(x.microseconds) != number(y.microseconds)) return number(x.microseconds) > number(y.microseconds);
    return number(x.posted) + number(x.waited) > number(y.posted) + number(y.waited);
  });
  fprintf(stderr, "nearmetal: %-36s %10s %10s %14s %14s %12s\n", "to the server", "posted", "waited", "bytes out", "bytes in",
          "waited, ms");
  for (uint16_t op : used) {
    const Cost& c = (*g_costs)[op];
    fprintf(stderr, "nearmetal: %-36s %10llu %10llu %14llu %14llu %12.3f\n", op_name(op), number(c.posted), number(c.waited),
            number(c.bytes_out), number(c.bytes_in), static_cast<double>(number(c.microseconds)) / 1000);
  }
  if (number(g_images_sent) + number(g_images_found)) {
    fprintf(stderr,
            "nearmetal: images_sent=%llu image_bytes_sent=%llu images_found=%llu image_bytes_found=%llu "
            "image_bytes_left_out=%llu\n",
            number(g_images_sent), number(g_image_bytes_sent), number(g_images_found), number(g_image_bytes_found),
            number(g_image_bytes_left_out));
  }
  uint64_t lane_out, lane_in;
  lane_bytes(&lane_out, &lane_in);
  if (lane_out || lane_in) {
    fprintf(stderr, "nearmetal: %-36s %10s %10s %14llu %14llu\n", "large copies, over lanes", "", "", number(lane_out),
            number(lane_in));
  }
  const Counters& sums = channel.counters();
  const uint64_t posted = sums.posted, waited = sums.waited;
  fprintf(stderr, "nearmetal: calls=%llu local=%llu posted=%llu waited=%llu bytes_out=%llu bytes_in=%llu\n",
          static_cast<unsigned long long>(posted + waited + local), static_cast<unsigned long long>(local),
          static_cast<unsigned long long>(posted), static_cast<unsigned long long>(waited), static_cast<unsigned long long>(sums.bytes_out + lane_out), static_cast<unsigned long long>(sums.bytes_in + lane_in));
}

}  // namespace nm::client
