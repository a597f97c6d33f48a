// A server that reads what a client asks and answers with what an input says: replies of the right shape and of the
// wrong one, for somebody else, twice, too short, pushes that nobody wants, and an end anywhere.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <thread>
#include <vector>

#include "shape.h"

namespace nm::fuzz {

class HostileServer {
 public:
  // Serves `fd`, which it closes, on a thread of its own; honest until told otherwise.
  HostileServer(int fd, Input in, std::span<const Row> rows, std::span<const Item> items);
  ~HostileServer();

  // What an honest one answers to this operation; anything else is answered with zeros of the right shape.
  void prepare(uint16_t op, std::vector<uint8_t> body);
  void start();
  // From now on. No request is under way.
  void turn() { hostile_ = true; }

 private:
  void run();
  bool read(void* to, size_t size);
  bool write(const void* from, size_t size);
  bool answer(uint16_t op, uint32_t sequence, std::span<const uint8_t> body);
  bool push();

  int fd_;
  Input in_;
  std::span<const Row> rows_;
  std::span<const Item> items_;
  std::atomic<bool> hostile_{false};
  std::vector<std::pair<uint16_t, std::vector<uint8_t>>> prepared_;
  std::vector<uint8_t> last_;
  std::thread thread_;
};

}  // namespace nm::fuzz
