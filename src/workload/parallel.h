// Host work of a program that has much of it (data, references): in pieces, on all processors.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

namespace nm::workload {

// `piece(begin, end)` for pieces of [0, count), which do not depend on each other; returns when all are done.
inline void in_pieces(size_t count, const std::function<void(size_t, size_t)>& piece) {
  // Below some thousands of numbers a thread costs more than it saves.
  const size_t workers = std::clamp<size_t>(count / (1 << 16), 1, std::max(1u, std::thread::hardware_concurrency()));
  if (workers == 1) return piece(0, count);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < workers; ++i) {
    threads.emplace_back([&, i] { piece(count * i / workers, count * (i + 1) / workers); });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace nm::workload
