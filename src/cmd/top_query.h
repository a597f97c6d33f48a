// A server's status, asked for over a connection of its own.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "wire/address.h"
#include "wire/status.h"

namespace nm::cmd {

struct ServerAnswer {
  std::string release;
  wire::ServerStatus status;
};

// The error is a sentence. Takes at most `timeout`, and the dialling as long again.
Result<ServerAnswer> ask_status(const wire::Address& server, Millis timeout);

}  // namespace nm::cmd
