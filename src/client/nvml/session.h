// The process's NVML session: opened by the first nvmlInit, closed by the last nvmlShutdown, a connection of its own.
//
// A forked child has the parent's count of nvmlInit but not its connection; it opens its own when it first asks
// something. Handles mean the same in every session of one server, so those that the child inherited stay good.
#pragma once

#include <memory>

#include "client/channel.h"
#include "nvml_abi.h"

namespace nm::client::nvml {

nvmlReturn_t open_session(unsigned flags);
nvmlReturn_t close_session();
bool is_open();

// The connection to ask over. UNINITIALIZED where there is no session, UNKNOWN where the server is lost.
nvmlReturn_t channel_of_session(std::shared_ptr<Channel>* out);

}  // namespace nm::client::nvml
