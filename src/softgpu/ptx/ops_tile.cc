#include "softgpu/ptx/ops_tile.h"

#include "softgpu/ptx/address.h"
#include "softgpu/ptx/ops_element.h"

namespace nm::softgpu::ptx {
namespace {

constexpr uint32_t kMaxElements = 512;  // of a tile

// Host addresses of element `i` of each lane's part; false after raise().
bool element_addresses(Exec& x, const Inst& in, const uint64_t* base, uint32_t per_lane, uint32_t i, bool write) {
  const uint32_t rows = in.r[2], columns = in.r[3], bytes = in.size;
  const uint32_t* stride = x.reg<uint32_t>(in.r[1]);
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    const uint32_t at = (lane * per_lane + i) % (rows * columns);
    const uint64_t row = at / columns, column = at % columns;
    const uint64_t offset = in.flags & 1 ? column * stride[lane] + row : row * stride[lane] + column;
    x.address[lane] = base[lane] + offset * bytes;
  }
  return check_addresses(x, in.space, bytes, write);
}

bool tile_base(Exec& x, const Inst& in, bool write, uint64_t* base) {
  if (!NM_PTX_ISA::addresses(x, in, in.r[4], in.size, write)) return false;
  std::memcpy(base, x.address, sizeof x.address);
  return true;
}

// The elements of a tile, out of the lanes that hold them.
void gather(const Exec& x, const Ref* registers, uint32_t per_lane, uint32_t total, Type type, double* to) {
  for (uint32_t at = 0; at < total; ++at) to[at] = element(x, registers, at / per_lane, at % per_lane, type);
}

}  // namespace

uint32_t tile_elements(Type type, uint32_t registers) { return registers * parts_of(type); }

void load_tile(Exec& x, const Inst& in) {
  const Type type = static_cast<Type>(in.mode);
  const uint32_t per_lane = tile_elements(type, in.count), parts = parts_of(type), bits = in.size * 8u;
  uint64_t base[kLanes];
  if (!tile_base(x, in, false, base)) return;
  for (uint32_t i = 0; i < per_lane; ++i) {
    if (!element_addresses(x, in, base, per_lane, i, false)) return;
    for (uint32_t m = x.mask; m; m &= m - 1) {
      const uint32_t lane = static_cast<uint32_t>(std::countr_zero(m));
      uint64_t value = 0;
      std::memcpy(&value, reinterpret_cast<const void*>(x.address[lane]), in.size);
      if (in.size == 8) {
        x.reg<uint64_t>(in.more[i])[lane] = value;
      } else {
        uint32_t& word = x.reg<uint32_t>(in.more[i / parts])[lane];
        word = static_cast<uint32_t>((i % parts == 0 ? 0 : word) | value << i % parts * bits);
      }
    }
  }
}

void store_tile(Exec& x, const Inst& in) {
  const Type type = static_cast<Type>(in.mode);
  const uint32_t per_lane = tile_elements(type, in.count), parts = parts_of(type), bits = in.size * 8u;
  uint64_t base[kLanes];
  if (!tile_base(x, in, true, base)) return;
  for (uint32_t i = 0; i < per_lane; ++i) {
    if (!element_addresses(x, in, base, per_lane, i, true)) return;
    for (uint32_t m = x.mask; m; m &= m - 1) {
      const uint32_t lane = static_cast<uint32_t>(std::countr_zero(m));
      const uint64_t value = in.size == 8 ? x.reg<uint64_t>(in.more[i])[lane]
                                          : x.reg<uint32_t>(in.more[i / parts])[lane] >> i % parts * bits;
      std::memcpy(reinterpret_cast<void*>(x.address[lane]), &value, in.size);
    }
  }
}

void multiply_tiles(Exec& x, const Inst& in) {
  const uint32_t m = in.r[0], n = in.r[1], k = in.r[2];
  const Type type = static_cast<Type>(in.mode), c_type = static_cast<Type>(in.r[3]),
             d_type = static_cast<Type>(in.r[4]);
  const uint32_t counts[4] = {in.r[6], in.size, in.width, in.r[7]};  // registers of D, A, B, C
  const Ref* d = in.more;
  const Ref* a = d + counts[0];
  const Ref* b = a + counts[1];
  const Ref* c = b + counts[2];
  double left[kMaxElements], right[kMaxElements], sums[kMaxElements];
  gather(x, a, tile_elements(type, counts[1]), m * k, type, left);
  gather(x, b, tile_elements(type, counts[2]), k * n, type, right);
  gather(x, c, tile_elements(c_type, counts[3]), m * n, c_type, sums);
  for (uint32_t row = 0; row < m; ++row) {
    for (uint32_t column = 0; column < n; ++column) {
      double sum = sums[row * n + column];
      for (uint32_t i = 0; i < k; ++i) sum += left[row * k + i] * right[i * n + column];
      sums[row * n + column] = sum;
    }
  }
  const uint32_t per_lane = tile_elements(d_type, counts[0]);
  for (uint32_t lanes = x.mask; lanes; lanes &= lanes - 1) {
    const uint32_t lane = static_cast<uint32_t>(std::countr_zero(lanes));
    set_elements(x, d, lane, sums + lane * per_lane, per_lane, d_type, (in.flags & 1) != 0);
  }
}

}  // namespace nm::softgpu::ptx
