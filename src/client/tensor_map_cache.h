// Tensor maps that differ only in their address. Their layout is the driver's secret, but one encoded for two addresses
// shows where the address lies; from then on a map of the same shape is made here.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "wire/tensor_map.h"

namespace nm::client {

using TensorMapBytes = std::array<uint8_t, wire::kTensorMapSize>;

// Where `map`, encoded for `address`, holds it: there as eight plain bytes, and all else equal to `other`, which was
// encoded for `other_address`. Nothing: it is not that simple.
std::optional<size_t> find_address(uint64_t address, const TensorMapBytes& map, uint64_t other_address,
                                   const TensorMapBytes& other);

// An address whose bytes all differ from those of `address`, with the same alignment.
uint64_t probe_address(uint64_t address);

class TensorMapCache {
 public:
  // The map for this request, if one of its shape is known and the address is aligned as strictly as any shape may
  // need.
  bool make(const wire::TensorMapRequest& request, TensorMapBytes* map);
  // The same map at another address; only for maps whose shape is known.
  bool replace_address(TensorMapBytes* map, uint64_t address);
  // What the server encoded for the request's address and for its probe.
  void learn(const wire::TensorMapRequest& request, const TensorMapBytes& map, const TensorMapBytes& probe);

 private:
  struct Shape {
    TensorMapBytes map;  // the address's bytes are zero
    size_t at;
  };
  std::mutex mutex_;
  std::map<std::vector<uint8_t>, Shape> shapes_;  // by the request without its addresses
  std::map<TensorMapBytes, size_t> known_;        // by the map without its address
};

}  // namespace nm::client
