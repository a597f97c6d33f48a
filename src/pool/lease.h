// A lease is what was granted: which part of which devices, by which way, since when and until when. A device is never
// in leases of two ways at a time.
#pragma once

#include <string>
#include <vector>

#include "pool/claim.h"

namespace nm::pool {

struct Held {
  std::string host, device;
  Mib memory = 0;
  int share = 0;
  bool operator==(const Held&) const = default;
};

struct Lease {
  std::string id;
  Claim claim;
  Path path = Path::network;  // never any
  std::vector<Held> devices;  // one device at most once
  int64_t charge = 0;         // against the project's quota, thousandths of a GPU
  Time granted{};
  Time until = kNever;
  // Beyond its project's quota: may be taken back for a claim that is within its own. Not any more once the project's
  // other leases have made room.
  bool borrowed = false;
  // Was told to end (expired, taken back, its host gone); its devices are free when it says that it has ended.
  bool ending = false;

  bool operator==(const Lease&) const = default;
};

Result<void> check(const Lease& lease);
Result<Lease> parse_lease(std::string_view json);
std::string to_json(const Lease& lease);

}  // namespace nm::pool
