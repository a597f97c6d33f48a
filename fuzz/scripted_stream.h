// One end of a connection whose other end said everything beforehand and reads nothing.
#pragma once

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "wire/stream.h"

namespace nm::fuzz {

class ScriptedStream final : public wire::Stream {
 public:
  explicit ScriptedStream(std::vector<uint8_t> said) : said_(std::move(said)) {}

  ssize_t write(std::span<const iovec> parts, int) override {
    size_t all = 0;
    for (const iovec& p : parts) all += p.iov_len;
    return static_cast<ssize_t>(all);
  }
  // In pieces, so that records come whole and torn.
  ssize_t read(void* to, size_t capacity) override {
    if (at_ == said_.size()) {
      errno = 0;
      return -1;
    }
    const size_t n = std::min({capacity, said_.size() - at_, kPiece});
    std::memcpy(to, said_.data() + at_, n);
    at_ += n;
    return static_cast<ssize_t>(n);
  }
  // As many as are asked for, up to a few: memory of four pages.
  Fd take_fd() override {
    if (fds_++ >= kMostFds) return {};
    Fd memory(memfd_create("fuzz", MFD_CLOEXEC));
    if (ftruncate(memory.get(), kMemory) != 0) return {};
    return memory;
  }
  void wait(unsigned, int64_t) override {}
  void shut() override { at_ = said_.size(); }
  bool writes_directly() const override { return true; }
  bool passes_fds() const override { return true; }

 private:
  static constexpr size_t kPiece = 4001, kMostFds = 8;
  static constexpr off_t kMemory = 4 * 4096;

  std::vector<uint8_t> said_;
  size_t at_ = 0, fds_ = 0;
};

}  // namespace nm::fuzz
