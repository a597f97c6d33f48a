// One question to the server: gather arguments, then wait() for the answer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "client/channel.h"
#include "nvml_abi.h"
#include "wire/codec.h"

namespace nm::client::nvml {

class Call {
 public:
  // `name` is what NEARMETAL_TRACE=1 prints. Without a channel: over the process's session.
  Call(uint16_t op, const char* name, std::shared_ptr<Channel> channel = nullptr);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  wire::Writer& args() { return writer_; }
  nvmlReturn_t wait();
  // True if the server called NVML, so that reply() holds what the call changed.
  bool answered() const { return !pending_.body.empty(); }
  wire::Reader& reply() { return *reader_; }
  // The result of a call that is not sent.
  nvmlReturn_t end(nvmlReturn_t result);
  // The reply cannot be read: the server is not to be trusted any more.
  nvmlReturn_t malformed();

 private:
  uint16_t op_;
  const char* name_;
  std::shared_ptr<Channel> channel_;
  std::vector<uint8_t> body_;
  wire::Writer writer_;
  Pending pending_;
  std::optional<wire::Reader> reader_;
};

// Prints the call if NEARMETAL_TRACE=1; gives `result` back.
nvmlReturn_t traced(const char* name, nvmlReturn_t result);

// For a function that is answered here: `result`, or that there is no session.
nvmlReturn_t answer(const char* name, nvmlReturn_t result);

}  // namespace nm::client::nvml
