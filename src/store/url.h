// Where a store is, as a person writes it:
//   sqlite:/var/lib/nearmetal/pool.db
//   etcd://a:2379,b:2379,c:2379            several members of one cluster; the port may be left out
//   etcds://a,b,c?ca=FILE&cert=FILE&key=FILE  over TLS: who signed the members' certificates (else what the system
//                                             trusts), and our own certificate
// and for etcd `prefix=NAME`, under which all keys are ("nearmetal/"): two pools in one etcd need two.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace nm::store {

struct EtcdOptions {
  std::vector<std::string> members;  // "host:port", "[::1]:2379"
  std::string prefix = "nearmetal/";
  bool tls = false;
  std::string ca, cert, key;  // files
};

struct Location {
  enum class Kind { sqlite, etcd };
  Kind kind = Kind::sqlite;
  std::string path;  // sqlite
  EtcdOptions etcd;
};

Result<Location> parse_location(std::string_view url);

}  // namespace nm::store
