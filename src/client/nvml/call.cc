#include "client/nvml/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/nvml/session.h"

namespace nm::client::nvml {

Call::Call(uint16_t op, const char* name, std::shared_ptr<Channel> channel)
    : op_(op), name_(name), channel_(std::move(channel)), writer_(body_) {}

nvmlReturn_t Call::wait() {
  if (!channel_) {
    nvmlReturn_t result = channel_of_session(&channel_);
    if (result != NVML_SUCCESS) return traced(name_, result);
  }
  wire::RecordHeader header{};
  header.op = op_;
  header.thread = 1;
  if (body_.size() + sizeof header > wire::kMaxRecord) return traced(name_, NVML_ERROR_INVALID_ARGUMENT);
  if (!channel_->call(header, body_, nullptr, -1, &pending_)) return traced(name_, NVML_ERROR_UNKNOWN);
  reader_.emplace(pending_.body);
  return traced(name_, static_cast<nvmlReturn_t>(pending_.result));
}

nvmlReturn_t Call::end(nvmlReturn_t result) { return answer(name_, result); }

nvmlReturn_t Call::malformed() {
  channel_->fail("it sent a reply that cannot be read");
  return NVML_ERROR_UNKNOWN;
}

nvmlReturn_t traced(const char* name, nvmlReturn_t result) {
  static const bool on = [] {
    const char* value = getenv("NEARMETAL_TRACE");
    return value && strcmp(value, "0") != 0;
  }();
  if (on) [[unlikely]]
    fprintf(stderr, "nearmetal: %s -> %d\n", name, static_cast<int>(result));
  return result;
}

nvmlReturn_t answer(const char* name, nvmlReturn_t result) {
  return traced(name, is_open() ? result : NVML_ERROR_UNINITIALIZED);
}

}  // namespace nm::client::nvml
