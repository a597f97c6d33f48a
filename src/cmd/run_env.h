// The environment in which a program finds our libraries where it looks for the driver's.
// Why it is these variables: docs/decisions/0002-run-environment.md.
#pragma once

#include <string>
#include <vector>

#include "base/paths.h"
#include "base/result.h"
#include "wire/address.h"

namespace nm::cmd {

// `env` plus what is needed. `gpus` becomes CUDA_VISIBLE_DEVICES unless empty. The error is a sentence: our own
// directory cannot be named in these variables, or the libraries are not there.
Result<std::vector<std::string>> run_environment(std::vector<std::string> env, const Tree& tree,
                                                 const wire::Address& server, const std::string& gpus);

}  // namespace nm::cmd
