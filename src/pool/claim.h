// A claim is what is wished: so many GPUs, of which kind, how near to each other, for whom and how long. It names no
// host and no device; what was granted for it is a lease.
#pragma once

#include <map>
#include <string>

#include "pool/size.h"

namespace nm::pool {

// How the GPU reaches its user. `any`: over the network where a device can, else passed through.
enum class Path { any, network, passthrough };
// How near the GPUs of one claim are to each other. `any` may span hosts, where no single one has room.
enum class Topology { any, same_host, same_numa, nvlink };

struct Claim {
  std::string id;
  int number = 1;
  std::string model;  // as people say it, "h200"; empty: any (model_name.h)
  // Of each GPU. Over the network a cap, enforced by the worker. A GPU that is passed through is handed over whole:
  // there, `memory` is the least that it must have.
  Memory memory;
  int share = 0;  // of each GPU's compute, thousandths; 0: not said
  Path path = Path::any;
  Topology topology = Topology::any;
  Duration limit{0};  // ends by itself after that; 0: when its user ends it
  std::string project = "default";
  int priority = 0;  // within the project; higher goes first
  std::string user;
  std::string client_host;                    // where the program runs, if that is a host of the pool
  std::map<std::string, std::string> labels;  // which the hosts must have

  bool operator==(const Claim&) const = default;
};

// What a claim takes of one GPU with so much memory. Of memory and share, the one that is not said follows the other
// in proportion; if neither is said, it is the whole GPU.
struct Need {
  Mib memory = 0;
  int share = 0;
  bool whole = false;

  // Thousandths of a GPU that this counts as against quotas: the scarcer of the two.
  int charge(Mib device) const;
  bool operator==(const Need&) const = default;
};
Need need_on(const Claim& claim, Mib device, Path path);
bool suffices(const Claim& claim, Mib device, Path path);

// The error names the claim and what is wrong with it, whatever the pool has.
Result<void> check(const Claim& claim);

Result<Claim> parse_claim(std::string_view json);
std::string to_json(const Claim& claim);

std::string_view word(Path path);
std::string_view word(Topology topology);
// "8 × h200 on one host", for sentences
std::string describe(const Claim& claim);

}  // namespace nm::pool
