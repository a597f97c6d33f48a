// PTX text to a syntax tree. Stops at the first error; sizes and nesting are bounded, so no text can exhaust the stack.
#pragma once

#include <string_view>

#include "base/result.h"
#include "softgpu/ptx/ast.h"

namespace nm::softgpu::ptx {

// The tree's names point into `text`. The error's message begins with "line N: ".
Result<ast::Unit> parse(std::string_view text);

}  // namespace nm::softgpu::ptx
