#include "client/parallel_copy.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "client/own_threads.h"

namespace nm::client {
namespace {

constexpr size_t kAlone = 256 << 10;  // waking others for less takes longer than it saves
constexpr size_t kPiece = 128 << 10;
constexpr unsigned kMostHelpers = 3;
constexpr uint64_t kPatienceNs = 100'000;  // a helper looks so long for the next copy before it sleeps

uint64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

void futex(std::atomic<uint32_t>* word, int op, uint32_t value) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(word), op, value, nullptr, nullptr, 0);
}

CopyHelpers* helpers() {
  static CopyHelpers* const all = [] {
    const unsigned count = std::min(kMostHelpers, std::thread::hardware_concurrency() / 4);
    return count ? new CopyHelpers(count) : nullptr;
  }();
  return all;
}

}  // namespace

CopyHelpers::CopyHelpers(unsigned threads) : pid_(getpid()) {
  // No signal of the program may be delivered to our threads.
  sigset_t every, before;
  sigfillset(&every);
  pthread_sigmask(SIG_SETMASK, &every, &before);
  for (unsigned i = 0; i < threads; i++) {
    pthread_t thread;
    if (pthread_create(&thread, nullptr, entry, this) != 0) continue;
    pthread_detach(thread);
    g_own_threads++;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

bool CopyHelpers::copy(void* to, const void* from, size_t size) {
  std::unique_lock busy(busy_, std::try_to_lock);
  if (!busy || pid_ != getpid()) return false;
  to_ = static_cast<char*>(to);
  from_ = static_cast<const char*>(from);
  size_ = size;
  const uint32_t pieces = static_cast<uint32_t>((size + kPiece - 1) / kPiece);
  done_.store(0, std::memory_order_relaxed);
  // Helpers that are late find the number of the copy changed, or nothing left.
  next_.store(uint64_t{++number_} << 32 | pieces, std::memory_order_release);
  posted_.store(number_, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst)) futex(&posted_, FUTEX_WAKE_PRIVATE, kMostHelpers);
  take_part(number_);
  while (done_.load(std::memory_order_acquire) != pieces) __builtin_ia32_pause();
  return true;
}

void* CopyHelpers::entry(void* self) {
  prctl(PR_SET_NAME, "nearmetal");
  static_cast<CopyHelpers*>(self)->help();
  return nullptr;
}

void CopyHelpers::help() {
  uint32_t seen = 0;
  for (;;) {
    uint64_t give_up = now_ns() + kPatienceNs;
    while (posted_.load(std::memory_order_acquire) == seen) {
      __builtin_ia32_pause();
      if (now_ns() < give_up) continue;
      sleepers_.fetch_add(1, std::memory_order_seq_cst);
      futex(&posted_, FUTEX_WAIT_PRIVATE, seen);
      sleepers_.fetch_sub(1, std::memory_order_relaxed);
    }
    seen = posted_.load(std::memory_order_acquire);
    take_part(seen);
  }
}

void CopyHelpers::take_part(uint32_t number) {
  uint64_t left = next_.load(std::memory_order_acquire);
  while (left >> 32 == number && static_cast<uint32_t>(left)) {
    if (!next_.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel)) continue;
    const size_t at = (static_cast<uint32_t>(left) - 1) * kPiece;
    memcpy(to_ + at, from_ + at, std::min(kPiece, size_ - at));
    done_.fetch_add(1, std::memory_order_release);
    left = next_.load(std::memory_order_acquire);
  }
}

void parallel_copy(void* to, const void* from, size_t size) {
  if (size >= kAlone) {
    if (CopyHelpers* all = helpers(); all && all->copy(to, from, size)) return;
  }
  memcpy(to, from, size);
}

}  // namespace nm::client
