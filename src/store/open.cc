#include "store/open.h"

#include "store/etcd_store.h"
#include "store/sqlite_store.h"
#include "store/url.h"

namespace nm::store {

Result<std::unique_ptr<Store>> open_store(std::string_view url) {
  const auto location = parse_location(url);
  if (!location) return location.error();
  if (location->kind == Location::Kind::sqlite)
    return std::unique_ptr<Store>(std::make_unique<SqliteStore>(location->path));
  auto etcd = EtcdStore::make(location->etcd);
  if (!etcd) return etcd.error();
  return std::unique_ptr<Store>(std::move(*etcd));
}

}  // namespace nm::store
