// What the null drivers answer: success mostly, and what an input says now and then, so that errors are walked, too.
#pragma once

#include <cstdint>

namespace nm::fuzz {

// 0: success always. Begins anew for every input.
void answer_by(uint32_t pattern);

// The next answer, a CUresult or an nvmlReturn_t. Only a question whether something is done is told "not yet".
int answer(bool may_be_not_yet = false);

}  // namespace nm::fuzz
