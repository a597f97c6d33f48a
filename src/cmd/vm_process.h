// QEMU as a child: on the right processors, with this terminal, until it ends.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/process.h"
#include "base/result.h"
#include "guest/shape.h"

namespace nm::cmd {

// Starts it, pins each virtual CPU's thread, waits. A first Ctrl-C (where it is not the guest's), SIGTERM or SIGHUP
// asks the guest to shut down, a second one ends it. `say` is told sentences while it runs.
Result<ExitStatus> run_qemu(const std::vector<std::string>& line, const guest::GuestShape& shape,
                            const std::string& qmp, const std::function<void(const std::string&)>& say);

}  // namespace nm::cmd
