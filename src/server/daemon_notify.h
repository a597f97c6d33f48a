// Tells systemd, where it is there, how the service is doing (sd_notify(3)'s protocol: a datagram to $NOTIFY_SOCKET).
#pragma once

#include <string_view>

namespace nm::server {

// `state` as in "READY=1". Does nothing without NOTIFY_SOCKET.
void notify_service_manager(std::string_view state);

}  // namespace nm::server
