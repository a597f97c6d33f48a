#include "client/tensor_map_cache.h"

#include <cstring>

namespace nm::client {
namespace {

constexpr size_t kMostShapes = 4096;
constexpr uint64_t kStrictest = 32;  // bytes: no form of tensor map asks for more
constexpr uint64_t kEndOfAddresses = 1ull << 48;

bool plain(uint64_t address) { return address && address % kStrictest == 0 && address < kEndOfAddresses; }

std::vector<uint8_t> key(wire::TensorMapRequest request) {
  request.address = request.probe = 0;
  auto* bytes = reinterpret_cast<const uint8_t*>(&request);
  return {bytes, bytes + sizeof request};
}

void put(TensorMapBytes* map, size_t at, uint64_t address) { std::memcpy(map->data() + at, &address, sizeof address); }

uint64_t get(const TensorMapBytes& map, size_t at) {
  uint64_t address;
  std::memcpy(&address, map.data() + at, sizeof address);
  return address;
}

}  // namespace

std::optional<size_t> find_address(uint64_t address, const TensorMapBytes& map, uint64_t other_address,
                                   const TensorMapBytes& other) {
  if (address == other_address) return std::nullopt;
  for (size_t at = 0; at + sizeof address <= map.size(); at += sizeof address) {
    if (get(map, at) != address || get(other, at) != other_address) continue;
    TensorMapBytes moved = map;
    put(&moved, at, other_address);
    if (moved == other) return at;
  }
  return std::nullopt;
}

// Bits 5 to 46 turned over: below lies the alignment, above no address has any.
uint64_t probe_address(uint64_t address) { return address ^ 0x7fff'ffff'ffe0ull; }

bool TensorMapCache::make(const wire::TensorMapRequest& request, TensorMapBytes* map) {
  if (!plain(request.address)) return false;
  auto wanted = key(request);
  std::lock_guard lock(mutex_);
  auto it = shapes_.find(wanted);
  if (it == shapes_.end()) return false;
  *map = it->second.map;
  put(map, it->second.at, request.address);
  return true;
}

bool TensorMapCache::replace_address(TensorMapBytes* map, uint64_t address) {
  if (!plain(address)) return false;
  std::lock_guard lock(mutex_);
  for (size_t at = 0; at + sizeof address <= map->size(); at += sizeof address) {
    TensorMapBytes without = *map;
    put(&without, at, 0);
    auto it = known_.find(without);
    if (it == known_.end() || it->second != at) continue;
    put(map, at, address);
    return true;
  }
  return false;
}

void TensorMapCache::learn(const wire::TensorMapRequest& request, const TensorMapBytes& map,
                           const TensorMapBytes& probe) {
  auto at = find_address(request.address, map, request.probe, probe);
  if (!at || !plain(request.address)) return;
  Shape shape{map, *at};
  put(&shape.map, *at, 0);
  std::lock_guard lock(mutex_);
  if (shapes_.size() >= kMostShapes) {
    shapes_.clear();
    known_.clear();
  }
  known_[shape.map] = *at;
  shapes_[key(request)] = shape;
}

}  // namespace nm::client
