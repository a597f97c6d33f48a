// One operation on its way to the server: gather arguments, then post() or wait().
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "client/channel.h"
#include "cuda_abi.h"
#include "wire/codec.h"

namespace nm::client {

class Call {
 public:
  explicit Call(uint16_t op);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  wire::Writer& args() { return writer_; }
  void bulk_in(const void* data, uint64_t size);
  void bulk_out(void* data, uint64_t size);
  void pass_fd(int fd) { fd_ = fd; }
  // The context the server makes current; by default the calling thread's.
  void in_context(uint64_t context) { context_ = context; }

  // Sends without waiting. An error is one that is known already (a sticky one, a lost server).
  CUresult post();
  // Sends and waits. Errors of earlier posted work are kept for surface().
  CUresult wait();
  wire::Reader& reply() { return *reader_; }
  std::vector<Fd>& fds() { return pending_.fds; }
  // For calls that create nothing: reports what went wrong with earlier posted work, if this call itself was fine.
  CUresult surface(CUresult result);
  // The reply cannot be read: the server is not to be trusted any more.
  CUresult malformed();

 private:
  void trace(const char* how, CUresult result);
  wire::RecordHeader header() const;

  uint16_t op_;
  int fd_ = -1;
  uint64_t context_;
  const void* bulk_ = nullptr;
  uint64_t bulk_size_ = 0;
  std::vector<uint8_t> body_;
  wire::Writer writer_;
  Pending pending_;
  std::optional<wire::Reader> reader_;
};

}  // namespace nm::client
