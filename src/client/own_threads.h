// Threads of ours that touch memory of the program only while one of its own threads waits for them, or memory that
// nobody moves. Whoever has to know that no other thread can write to the program's memory takes them off.
#pragma once

#include <atomic>

namespace nm::client {

inline std::atomic<int> g_own_threads{0};

}  // namespace nm::client
