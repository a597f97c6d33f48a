// An NVML whose functions do nothing and make up what they return.
#pragma once

#include "answer.h"
#include "server/nvml_session.h"

namespace nm::server {

void fill_null_nvml(NvmlState* state);

}  // namespace nm::server
