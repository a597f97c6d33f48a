// What a program's calls cost it, for NEARMETAL_STATS=1: printed when the program ends.
#pragma once

#include <atomic>
#include <cstdint>

namespace nm::client {

class Channel;

class Statistics {
 public:
  // Counts from now on. Nothing is counted before, and nothing is paid for it.
  static void start();
  static bool wanted() { return on_.load(std::memory_order_relaxed); }

  static void posted(uint16_t op, uint64_t bytes_out);
  static void waited(uint16_t op, uint64_t bytes_out, uint64_t bytes_in, uint64_t microseconds);

  // Images that travelled, that the server had, and bytes of images that no device there can use. Counted always.
  static void image_sent(uint64_t bytes);
  static void image_found(uint64_t bytes);
  static void image_left_out(uint64_t bytes);

  // A line for each function that went to the server, those that were waited for longest first, a line about
  // images, if any did not go through shared memory, and a line of sums.
  // `local`: calls that were answered here.
  static void print(const Channel& channel, uint64_t local);

 private:
  static std::atomic<bool> on_;
};

}  // namespace nm::client
