// The store that a URL names (store/url.h says how). Nothing is reached yet: a store that is away is no reason not to
// start.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "store/store.h"

namespace nm::store {

Result<std::unique_ptr<Store>> open_store(std::string_view url);

}  // namespace nm::store
