// Which devices of one host: the last step of placing.
#pragma once

#include <vector>

#include "pool/place.h"

namespace nm::pool {

// `number` devices of the host for the wish, by one way and of one kind; indices in ascending order. Empty: it has not
// so many, or not near enough to each other.
std::vector<size_t> choose(const HostEntry& entry, const Wish& wish, const Wish::Kind& kind, Path way, size_t number,
                           Placement placement);

// How many devices the host could give, however far apart.
size_t count_fitting(const HostEntry& entry, const Wish::Kind& kind, Path way);

}  // namespace nm::pool
