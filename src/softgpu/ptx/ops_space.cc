#include "softgpu/ptx/ops_space.h"

#include <algorithm>
#include <bit>

#include "softgpu/ptx/exec.h"

namespace nm::softgpu::ptx {
namespace {

template <class F>
void each(uint32_t mask, F f) {
  for (; mask; mask &= mask - 1) f(static_cast<uint32_t>(std::countr_zero(mask)));
}

uint64_t shared_of(const Exec& x, size_t rank) {
  return reinterpret_cast<uint64_t>(x.block->cluster->blocks[rank]->shared.data());
}

// Which block of the cluster a generic address belongs to; none: the number of blocks.
size_t owner(const Exec& x, uint64_t address) {
  const size_t count = x.block->cluster->blocks.size();
  for (size_t i = 0; i < count; ++i) {
    if (address - shared_of(x, i) < x.grid->shared_bytes) return i;
  }
  return count;
}

bool in_local(const Exec& x, uint32_t lane, uint64_t address) {
  return address - (x.local_begin + lane * x.local_stride) < x.local_stride;
}

}  // namespace

void generic_from_shared(Exec& x, const Inst& in) {
  const uint64_t* a = x.reg<uint64_t>(in.r[1]);
  uint64_t* d = x.reg<uint64_t>(in.r[0]);
  each(x.mask, [&](uint32_t l) {
    const uint64_t rank = (a[l] & 0xffffffff) >> 24;
    if (rank != 0 && rank <= x.block->cluster->blocks.size() && x.grid->explicit_cluster)
      d[l] = shared_of(x, rank - 1) + (a[l] & 0xffffff);
    else
      d[l] = a[l] + x.shared_begin;
  });
}
void shared_from_generic(Exec& x, const Inst& in) {
  const uint64_t* a = x.reg<uint64_t>(in.r[1]);
  uint64_t* d = x.reg<uint64_t>(in.r[0]);
  each(x.mask, [&](uint32_t l) {
    const size_t rank = x.grid->explicit_cluster ? owner(x, a[l]) : x.block->rank;
    if (rank != x.block->rank && rank < x.block->cluster->blocks.size())
      d[l] = (uint64_t{rank + 1} << 24) + (a[l] - shared_of(x, rank));
    else
      d[l] = a[l] - x.shared_begin;
  });
}
void generic_from_local(Exec& x, const Inst& in) {
  const uint64_t* a = x.reg<uint64_t>(in.r[1]);
  uint64_t* d = x.reg<uint64_t>(in.r[0]);
  each(x.mask, [&](uint32_t l) { d[l] = a[l] + x.local_begin + l * x.local_stride; });
}
void local_from_generic(Exec& x, const Inst& in) {
  const uint64_t* a = x.reg<uint64_t>(in.r[1]);
  uint64_t* d = x.reg<uint64_t>(in.r[0]);
  each(x.mask, [&](uint32_t l) { d[l] = a[l] - (x.local_begin + l * x.local_stride); });
}

void frame_param_address(Exec& x, const Inst& in) {
  const uint64_t base = reinterpret_cast<uint64_t>(x.frame->params.data()) + in.imm;
  uint64_t* d = x.reg<uint64_t>(in.r[0]);
  each(x.mask, [&](uint32_t l) { d[l] = base + uint64_t{l} * x.frame->function->param_bytes; });
}

void test_space(Exec& x, const Inst& in) {
  const uint64_t* a = x.reg<uint64_t>(in.r[1]);
  const uint64_t params = reinterpret_cast<uint64_t>(x.grid->params.data());
  uint32_t bits = 0;
  each(x.mask, [&](uint32_t l) {
    const bool shared = a[l] - x.shared_begin < x.grid->shared_bytes;
    const bool local = in_local(x, l, a[l]);
    const bool param = a[l] - params < x.grid->params.size();
    bool yes = false;
    switch (in.space) {
      case Space::shared:
        yes = in.flags & 1 ? owner(x, a[l]) < x.block->cluster->blocks.size() : shared;
        break;
      case Space::local:
        yes = local;
        break;
      case Space::param:
        yes = param;
        break;
      case Space::global:
        yes = !shared && !local && !param;
        break;
      default:
        break;  // constants are global memory here
    }
    bits |= (yes ? 1u : 0) << l;
  });
  uint32_t* p = x.reg<uint32_t>(in.r[0]);
  *p = (*p & ~x.mask) | bits;
}

void map_cluster_address(Exec& x, const Inst& in) {
  const uint32_t* rank = x.reg<uint32_t>(in.r[2]);
  const size_t count = x.block->cluster->blocks.size();
  each(x.mask, [&](uint32_t l) {
    const uint64_t address = in.size == 8 ? x.reg<uint64_t>(in.r[1])[l] : x.reg<uint32_t>(in.r[1])[l];
    if (rank[l] >= count)
      return x.raise(Fault::illegal_address, l, "mapa names a block that the cluster does not have");
    uint64_t result;
    if (in.flags & 1) {
      result = (uint64_t{rank[l]} + 1) << 24 | (address & 0xffffff);
    } else {
      const size_t from = owner(x, address);
      if (from >= count) return x.raise(Fault::address_space, l, "mapa of an address outside shared memory");
      result = address - shared_of(x, from) + shared_of(x, rank[l]);
    }
    if (in.size == 8)
      x.reg<uint64_t>(in.r[0])[l] = result;
    else
      x.reg<uint32_t>(in.r[0])[l] = static_cast<uint32_t>(result);
  });
}

void cluster_rank_of(Exec& x, const Inst& in) {
  each(x.mask, [&](uint32_t l) {
    const uint64_t address = in.size == 8 ? x.reg<uint64_t>(in.r[1])[l] : x.reg<uint32_t>(in.r[1])[l];
    uint64_t rank = in.flags & 1 ? (address & 0xffffffff) >> 24 : owner(x, address);
    if (in.flags & 1) rank = rank == 0 ? x.block->rank : rank - 1;
    x.reg<uint32_t>(in.r[0])[l] = static_cast<uint32_t>(rank);
  });
}

void copy_global_to_shared(Exec& x, const Inst& in) {
  const uint64_t shift = x.reg<uint64_t>(in.r[3])[0];
  const uint32_t zero = in.flags & 1 ? *x.reg<uint32_t>(in.r[2]) ^ (in.flags & 2 ? ~0u : 0) : 0;
  uint64_t from[kLanes];
  uint32_t bytes[kLanes];
  const uint32_t everyone = x.mask;
  each(everyone, [&](uint32_t l) {
    from[l] = in.imm + (in.mode == 8 ? x.reg<uint64_t>(in.r[0])[l] : x.reg<uint32_t>(in.r[0])[l]);
    bytes[l] = in.size;
    if (in.flags & 1)
      bytes[l] = zero >> l & 1 ? 0 : in.size;
    else if (in.r[2] != kNoRef)
      bytes[l] = std::min<uint32_t>(in.size, x.reg<uint32_t>(in.r[2])[l]);
    const uint64_t to = shift + (in.width == 8 ? x.reg<uint64_t>(in.r[1])[l] : x.reg<uint32_t>(in.r[1])[l]);
    x.address[l] = x.shared_begin + (to & 0xffffffff);
  });
  if (!check_addresses(x, Space::shared, in.size, true)) return;
  each(everyone, [&](uint32_t l) {
    if (x.fault != Fault::none) return;
    if (from[l] & (in.size - 1)) return x.raise(Fault::misaligned_address, l, "cp.async from a misaligned address");
    if (bytes[l] != 0 && !readable(x, l, from[l], bytes[l], false))
      return x.raise(Fault::illegal_address, l, "cp.async from what is no device memory");
    char* to = reinterpret_cast<char*>(x.address[l]);
    std::memset(to, 0, in.size);
    std::memcpy(to, reinterpret_cast<const char*>(from[l]), bytes[l]);
  });
}

void copy_bulk(Exec& x, const Inst& in) {
  const uint64_t shift = x.reg<uint64_t>(in.r[3])[0];
  each(x.mask, [&](uint32_t l) {
    if (x.fault != Fault::none) return;
    uint64_t from = in.imm + (in.mode == 8 ? x.reg<uint64_t>(in.r[0])[l] : x.reg<uint32_t>(in.r[0])[l]);
    uint64_t to = shift + (in.width == 8 ? x.reg<uint64_t>(in.r[4])[l] : x.reg<uint32_t>(in.r[4])[l]);
    const uint64_t bytes = x.reg<uint32_t>(in.r[1])[l];
    if (in.flags & 1) from = x.shared_begin + (from & 0xffffffff);
    if (in.space == Space::shared) to = in_cluster(x, x.shared_begin + (to & 0xffffffff), bytes);
    if ((from | to | bytes) & 15) {
      return x.raise(Fault::misaligned_address, l, "cp.async.bulk whose addresses or size are no multiples of 16");
    }
    if (!readable(x, l, from, bytes, false) || !readable(x, l, to, bytes, true))
      return x.raise(Fault::illegal_address, l, "cp.async.bulk from or to what is no memory of the kernel");
    std::memmove(reinterpret_cast<char*>(to), reinterpret_cast<const char*>(from), bytes);
  });
}

}  // namespace nm::softgpu::ptx
