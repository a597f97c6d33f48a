// The slow half of bounds checking: finds out which window or allocation an access is in, or why it is in none.
#include <bit>
#include <cstdio>

#include "softgpu/ptx/exec.h"

namespace nm::softgpu::ptx {
namespace {

bool inside(uint64_t address, uint64_t bytes, uint64_t begin, uint64_t end) {
  return address >= begin && address <= end && end - address >= bytes;
}

std::string text(const char* format, uint32_t bytes, uint64_t address) {
  char line[160];
  std::snprintf(line, sizeof line, format, bytes, static_cast<unsigned long long>(address));
  return line;
}

// Shared memory of the block, or of another one of its cluster.
bool in_shared(const Exec& x, uint64_t address, uint64_t bytes) {
  if (inside(address, bytes, x.shared_begin, x.shared_end)) return true;
  for (const auto& block : x.block->cluster->blocks) {
    const uint64_t begin = reinterpret_cast<uint64_t>(block->shared.data());
    if (inside(address, bytes, begin, begin + x.grid->shared_bytes)) return true;
  }
  return false;
}

}  // namespace

void Exec::raise(Fault what, uint32_t lane, std::string why) {
  if (fault != Fault::none) return;
  fault = what;
  fault_lane = lane;
  detail = std::move(why);
}

bool readable(Exec& x, uint32_t lane, uint64_t address, uint64_t bytes, bool write) {
  for (const Range& range : x.ranges) {
    if (inside(address, bytes, range.begin, range.end) && (range.writable || !write)) return true;
  }
  const uint64_t local = x.local_begin + lane * x.local_stride;
  if (inside(address, bytes, local, local + x.local_stride)) return true;
  const uint64_t params = reinterpret_cast<uint64_t>(x.grid->params.data());
  if (!write && inside(address, bytes, params, params + x.grid->params.size())) return true;
  if (in_shared(x, address, bytes)) return true;
  // Parameters of calls, whose address code by clang takes.
  for (const Frame* frame = x.frame; frame != nullptr; frame = frame->parent) {
    const uint64_t begin = reinterpret_cast<uint64_t>(frame->params.data());
    if (inside(address, bytes, begin, begin + frame->params.size())) return true;
  }
  Range range = x.grid->memory->find(address);
  if (!inside(address, bytes, range.begin, range.end) || (write && !range.writable)) return false;
  x.ranges[x.next_range] = range;
  x.next_range = (x.next_range + 1) % Exec::kRanges;
  return true;
}

// A shared address of another block of the cluster, as mapa makes it: (rank + 1) in the top byte.
uint64_t in_cluster(const Exec& x, uint64_t address, uint64_t bytes) {
  if (address < x.shared_end || address - x.shared_begin > 0xffffffffull || !x.grid->explicit_cluster) return address;
  const uint64_t offset = address - x.shared_begin, rank = offset >> 24, inside_block = offset & 0xffffff;
  const auto& blocks = x.block->cluster->blocks;
  if (rank < 1 || rank > blocks.size() || inside_block + bytes > x.grid->shared_bytes) return address;
  return reinterpret_cast<uint64_t>(blocks[rank - 1]->shared.data()) + inside_block;
}

bool check_addresses(Exec& x, Space space, uint32_t bytes, bool write) {
  for (uint32_t m = x.mask; m; m &= m - 1) {
    const uint32_t lane = static_cast<uint32_t>(std::countr_zero(m));
    const uint64_t address = x.address[lane] = in_cluster(x, x.address[lane], bytes);
    if (address & (bytes - 1)) {
      x.raise(Fault::misaligned_address, lane, text("misaligned access of %u bytes at 0x%llx", bytes, address));
      return false;
    }
    if (space == Space::shared && !in_shared(x, address, bytes)) {
      x.raise(Fault::illegal_address, lane,
              text("access of %u bytes at offset 0x%llx of shared memory, which the block does not have", bytes,
                   address - x.shared_begin));
      return false;
    }
    if (space != Space::shared && !readable(x, lane, address, bytes, write)) {
      x.raise(Fault::illegal_address, lane,
              text(write ? "write of %u bytes to 0x%llx, which is no device memory"
                         : "read of %u bytes at 0x%llx, which is no device memory",
                   bytes, address));
      return false;
    }
  }
  // The other lanes read along with the first.
  const uint64_t first = x.address[std::countr_zero(x.mask)];
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    if (!(x.mask >> lane & 1)) x.address[lane] = first;
  }
  return true;
}

}  // namespace nm::softgpu::ptx
