// memcpy with several of the machine's cores, for copies so large that one core is what holds the GPU's copy engine up.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace nm::client {

void parallel_copy(void* to, const void* from, size_t size);

// The threads that help: one copy at a time, whoever finds them busy copies alone. They never end, and so an object of
// this class has to live as long as the process.
class CopyHelpers {
 public:
  explicit CopyHelpers(unsigned threads);
  // False: nothing was copied.
  bool copy(void* to, const void* from, size_t size);

 private:
  static void* entry(void* self);
  void help();
  void take_part(uint32_t number);

  const pid_t pid_;  // in a child made by fork there are no helpers
  std::mutex busy_;
  char* to_ = nullptr;
  const char* from_ = nullptr;
  size_t size_ = 0;
  uint32_t number_ = 0;
  alignas(64) std::atomic<uint64_t> next_{0};  // low half: pieces that are left; high half: of which copy
  alignas(64) std::atomic<uint32_t> done_{0};
  alignas(64) std::atomic<uint32_t> posted_{0};
  std::atomic<uint32_t> sleepers_{0};
};

}  // namespace nm::client
