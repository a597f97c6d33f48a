// What `nearmetald` needs to be reached from other hosts.
#pragma once

#include "base/result.h"
#include "cmd/verbs.h"
#include "server/daemon.h"

namespace nm::cmd {

// Where an encrypted address is listened on: the commands of the gate and its helpers, and who may have a session. The
// error is a sentence: this host is no member of a pool. `pool_dir` empty: the usual place.
Result<void> serve_encrypted(const std::string& pool_dir, server::DaemonOptions& options);

// The hidden programs themselves.
int gate(const Args& args);
int enrol(const Args& args);
int refresh(const Args& args);

}  // namespace nm::cmd
