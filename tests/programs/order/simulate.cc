#include "order/simulate.h"

#include <cstring>

#include "order/random.h"

namespace order {

uint32_t after_delay(uint32_t c, uint32_t steps) {
  for (uint32_t i = 0; i < steps; i++) c = c * 1664525u + 1013904223u;
  return c;
}

void fold_bytes(uint8_t* dst, uint32_t size, const uint8_t* src, uint32_t src_size, uint32_t a, uint32_t b) {
  for (uint32_t i = 0, j = 0; i < size; i++) {
    uint32_t x = dst[i] * a + b + i;
    if (src) {
      x += src[j];
      if (++j == src_size) j = 0;
    }
    dst[i] = static_cast<uint8_t>(x);
  }
}

uint64_t digest(const uint8_t* bytes, size_t size, uint64_t start) {
  uint64_t h = start;
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {  // words at a time: megabytes are looked at often
    uint64_t w;
    memcpy(&w, bytes + i, 8);
    h = (h ^ w) * 0x100000001b3ull;
    h ^= h >> 29;
  }
  for (; i < size; i++) h = (h ^ bytes[i]) * 0x100000001b3ull;
  return h;
}

std::vector<uint8_t> initial_bytes(uint64_t seed, int region, uint32_t size) {
  Random random(seed ^ (static_cast<uint64_t>(region) + 1) << 40);
  std::vector<uint8_t> bytes(size + 8);
  for (uint32_t i = 0; i < size; i += 8) {
    uint64_t w = random.next();
    memcpy(&bytes[i], &w, 8);
  }
  bytes.resize(size);
  return bytes;
}

Memory::Memory(const Program& program, bool history) : program_(program) {
  for (size_t r = 0; r < program.regions.size(); r++) {
    const Region& region = program.regions[r];
    regions_.push_back(initial_bytes(program.seed, static_cast<int>(r), region.size));
    live_.push_back(region.place != Place::pooled);
    if (history) writers_.emplace_back(region.size, -1);
  }
}

void Memory::wrote(const Op& op, uint32_t offset, uint32_t size) {
  if (writers_.empty()) return;
  auto& w = writers_[static_cast<size_t>(op.dst.region)];
  for (uint32_t i = 0; i < size; i++) w[op.dst.offset + offset + i] = current_;
}

void Memory::apply(const Op& op) {
  auto* dst = op.dst.region < 0 ? nullptr : regions_[static_cast<size_t>(op.dst.region)].data() + op.dst.offset;
  auto* src = op.src.region < 0 ? nullptr : regions_[static_cast<size_t>(op.src.region)].data() + op.src.offset;
  if (op.id >= 0) current_ = op.id;
  switch (op.kind) {
    case Kind::fold:
    case Kind::mix: {
      const uint32_t c = after_delay(op.c, op.delay), n = op.dst.size / 4, m = op.src.size / 4;
      for (uint32_t i = 0; i < n; i++) {
        uint32_t x, y;
        memcpy(&x, dst + 4 * i, 4);
        if (op.kind == Kind::mix) {
          memcpy(&y, src + 4 * (i % m), 4);
          x = mix_word(x, y, i, op.a, op.b, c);
        } else {
          x = fold_word(x, i, op.a, op.b, c);
        }
        memcpy(dst + 4 * i, &x, 4);
      }
      break;
    }
    case Kind::fill:
    case Kind::allocate:
      for (uint32_t i = 0; i < op.dst.size; i += op.b) memcpy(dst + i, &op.a, op.b);
      if (op.kind == Kind::allocate) live_[static_cast<size_t>(op.dst.region)] = true;
      break;
    case Kind::release:
      live_[static_cast<size_t>(op.dst.region)] = false;
      return;
    case Kind::copy:
      memcpy(dst, src, op.dst.size);
      break;
    case Kind::copy_2d:
      for (uint32_t y = 0; y < op.height; y++) {
        memcpy(dst + y * op.dst_pitch, src + y * op.src_pitch, op.width);
        wrote(op, y * op.dst_pitch, op.width);
      }
      return;
    case Kind::host_function:
    case Kind::host_write:
      fold_bytes(dst, op.dst.size, src, op.src.size, op.a, op.b);
      break;
    case Kind::launch_graph:
      for (const Op& node : op.nodes) apply(node);
      return;
    default:
      return;
  }
  wrote(op, 0, op.dst.size);
}

}  // namespace order
