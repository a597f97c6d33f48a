// The release, as both ends of a connection name it. Set by the build from the project's version.
#pragma once

#include <string_view>

namespace nm {

inline constexpr std::string_view kVersion = NM_VERSION;

}  // namespace nm
