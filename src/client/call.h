// One operation on its way to the server: gather arguments, then post() or wait().
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "client/capture.h"
#include "client/channel.h"
#include "cuda_abi.h"
#include "wire/codec.h"

namespace nm::client {

// While it lives, what this thread would post is answered before it returns.
class Answered {
 public:
  explicit Answered(bool wanted);
  ~Answered();
  Answered(const Answered&) = delete;
  Answered& operator=(const Answered&) = delete;
  static bool wanted();

 private:
  bool before_;
};

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

  // The stream that the call is ordered in.
  void in_stream(uint64_t stream) { stream_ = stream; }

  // Sends without waiting, unless the program has to hear the answer (client/capture.h, Answered). An error is one that is known already (a sticky one, a lost server).
  CUresult post();
  // Sends and waits. Errors of earlier posted work are kept for surface().
  CUresult wait();
  // After wait(): the server has heard of it and said something.
  bool was_answered() const { return pending_.done; }
  wire::Reader& reply() { return *reader_; }
  std::vector<Fd>& fds() { return pending_.fds; }
  // For calls that create nothing: reports what went wrong with earlier posted work, if this call itself was fine.
  CUresult surface(CUresult result);
  // The reply cannot be read: the server is not to be trusted any more.
  CUresult malformed();

 private:
  // `since_us`: when the wait began; 0: none.
  void trace(const char* how, CUresult result, uint64_t since_us);
  wire::RecordHeader header() const;

  uint16_t op_;
  int fd_ = -1;
  uint64_t context_;
  uint64_t stream_ = kNoStream;
  const void* bulk_ = nullptr;
  uint64_t bulk_size_ = 0;
  std::vector<uint8_t> body_;
  wire::Writer writer_;
  Pending pending_;
  std::optional<wire::Reader> reader_;
};

}  // namespace nm::client
