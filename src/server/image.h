// What can be seen in a module's image without loading it.
#pragma once

#include <cstdint>
#include <span>

namespace nm::server {

// False only if no kernel in the image can print: it calls no vprintf and nothing in it is compressed.
bool image_may_print(std::span<const uint8_t> image);

}  // namespace nm::server
