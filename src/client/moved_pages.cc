#include "client/moved_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

#include "base/memory_file.h"
#include "client/areas.h"
#include "client/quiet_pages.h"

namespace nm::client {
namespace {

constexpr uint64_t kPage = 4096;
// One sparse file for all parts, so that thousands of them cost one descriptor. Behind each part is a wide gap that
// reads as zeros: a program that makes its memory larger with mremap finds there what it would have found.
constexpr uint64_t kFileSize = 1ull << 62, kGap = 64ull << 30;
// Writers wait no longer than it takes to copy so much.
constexpr uint64_t kStep = 8 << 20;

struct Moved {
  Pages pages;
  uint64_t offset, context;
};

struct Piece {
  uint64_t first, size, offset;
  int protection;
};

struct State {
  std::mutex mutex;  // also held while the process forks
  Fd file;
  dev_t device = 0;
  ino_t inode = 0;
  uint64_t next = 0;
  std::map<uint64_t, Moved> moved;  // by first page
  // While the process forks:
  std::vector<Piece> pieces;
  int done[2] = {-1, -1};  // the child writes here when it has its copies
};
State& state() {
  static auto* s = new State;
  return *s;
}

bool is_part(const State& s, const Area& a) { return s.file && a.inode == s.inode && a.device == s.device; }

void* at(uint64_t address) { return reinterpret_cast<void*>(address); }

// Where the program has the part of the file from `offset` to `end` now.
std::vector<Piece> pieces_of(uint64_t offset, uint64_t end) {
  std::vector<Piece> pieces;
  for_each_area([&](const Area& a) {
    if (a.shared && is_part(state(), a) && a.offset >= offset && a.offset < end) {
      pieces.push_back({a.first, a.size(), a.offset, a.protection()});
    }
    return true;
  });
  return pieces;
}

// A child is without the pages that were moved (MADV_DONTFORK), until it has made copies of its own. The thread that
// forks waits for that, so that the copies are what was there. Other threads go on, as they do while the kernel copies
// pinned pages.
void before_fork() {
  State& s = state();
  s.mutex.lock();
  s.pieces = pieces_of(0, kFileSize);
  if (s.pieces.empty() || pipe2(s.done, O_CLOEXEC) == 0) return;
  s.done[0] = s.done[1] = -1;
  s.pieces.clear();  // the parent could not wait, and copies might be of what it writes later: rather none
}

void forget_fork(State& s) {
  for (int& fd : s.done) {
    if (fd >= 0) close(fd);
    fd = -1;
  }
  s.mutex.unlock();
}

void after_fork_in_parent() {
  State& s = state();
  if (s.done[1] >= 0) {
    close(s.done[1]);
    s.done[1] = -1;
    char byte;
    while (read(s.done[0], &byte, 1) < 0 && errno == EINTR) {
    }
  }
  forget_fork(s);
}

// Nothing here allocates: another thread of the parent may have held the lock of malloc.
void after_fork_in_child() {
  State& s = state();
  // All places are taken first, so that what is needed meanwhile lands in none of them.
  for (Piece& piece : s.pieces) {
    // SAFETY: NOREPLACE: what another thread of the parent put there in the meantime stays.
    void* to = mmap(at(piece.first), piece.size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (to == at(piece.first)) continue;
    if (to != MAP_FAILED) munmap(to, piece.size);
    piece.size = 0;
  }
  for (const Piece& piece : s.pieces) {
    if (!piece.size) continue;
    void* from = mmap(nullptr, piece.size, PROT_READ, MAP_SHARED, s.file.get(), static_cast<off_t>(piece.offset));
    if (from == MAP_FAILED) {
      munmap(at(piece.first), piece.size);  // who touches it is told by SIGSEGV: better than by wrong bytes
      continue;
    }
    memcpy(at(piece.first), from, piece.size);
    munmap(from, piece.size);
    if (piece.protection != (PROT_READ | PROT_WRITE)) mprotect(at(piece.first), piece.size, piece.protection);
  }
  if (s.done[1] >= 0) {
    while (write(s.done[1], "", 1) < 0 && errno == EINTR) {
    }
  }
  forget_fork(s);
}

bool make_file(State& s) {
  if (s.file) return true;
  Fd file = make_sparse_memory_file("nearmetal-registered", kFileSize);
  struct stat st;
  if (!file || fstat(file.get(), &st) != 0) return false;
  s.device = st.st_dev;
  s.inode = st.st_ino;
  s.file = std::move(file);
  pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
  return true;
}

bool promised() {
  const char* how = getenv("NEARMETAL_REGISTER");
  return how && strcmp(how, "move") == 0;
}

// Puts a part of the file in place of what lies there with the same bytes.
bool put(const Piece& piece, int flags, int fd) {
  const auto offset = static_cast<off_t>(piece.offset);
  if (mmap(at(piece.first), piece.size, piece.protection, flags | MAP_FIXED, fd, offset) != MAP_FAILED) return true;
  // Kernels before 6.12 may take away what was there and then find that they have no memory for the new mapping.
  constexpr int kTries = 1000;
  for (int i = 0; msync(at(piece.first), piece.size, MS_ASYNC) != 0; i++) {
    if (i == kTries) abort();  // the program's memory is gone
    mmap(at(piece.first), piece.size, piece.protection, MAP_SHARED | MAP_FIXED, fd, offset);
  }
  return false;
}

bool move_step(const Pages& pages, int fd, uint64_t offset) {
  void* to =
      mmap(nullptr, pages.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, static_cast<off_t>(offset));
  if (to == MAP_FAILED) return false;
  bool moved = false;
  if (populate(pages.first, pages.size)) {
    QuietPages quiet(pages.first, pages.size, promised());
    if (quiet.hold() && !written_from_behind()) {
      memcpy(to, at(pages.first), pages.size);
      // SAFETY: the range is the program's own private memory, all of it copied, and nobody has written to it since.
      moved = put({pages.first, pages.size, offset, PROT_READ | PROT_WRITE}, MAP_SHARED | MAP_POPULATE, fd) &&
              madvise(at(pages.first), pages.size, MADV_DONTFORK) == 0;
    }
  }
  munmap(to, pages.size);
  return moved;
}

// Private over the same part of the file at once: a write that comes before is in the file, one that comes after makes
// a private page. Then all pages are made private, and the file's are not needed any more.
void give_back_piece(int fd, const Piece& piece) {
  // SAFETY: only what lies there from this part of the file, with the same bytes.
  if (!put(piece, MAP_PRIVATE, fd) || !(piece.protection & PROT_WRITE)) return;  // its bytes stay in the file
  for (uint64_t done = 0; done < piece.size; done += kStep) {
    const uint64_t n = std::min(kStep, piece.size - done);
    if (!populate(piece.first + done, n)) return;
    empty_memory_file(fd, piece.offset + done, n);
  }
}

void give_back(State& s, const Moved& moved) {
  const uint64_t end = moved.offset + moved.pages.size;
  const bool may_be = !written_from_behind();  // who has hold of the pages writes to them and no others: they stay
  auto pieces = pieces_of(moved.offset, end + kGap);
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.offset < b.offset; });
  uint64_t known = moved.offset;
  for (const Piece& piece : pieces) {
    if (known < piece.offset) empty_memory_file(s.file.get(), known, piece.offset - known);  // unmapped by the program
    known = std::max(known, piece.offset + piece.size);
    if (may_be) give_back_piece(s.file.get(), piece);
  }
  if (known < end) empty_memory_file(s.file.get(), known, end - known);
}

}  // namespace

bool lies_in_parts(const Area& area) {
  std::lock_guard lock(state().mutex);
  return is_part(state(), area);
}

bool may_move(const Pages& pages) {
  return populate(pages.first, kPage) && QuietPages(pages.first, kPage, promised()).possible() &&
         !written_from_behind();
}

std::optional<FilePart> reserve_part(uint64_t size) {
  State& s = state();
  std::lock_guard lock(s.mutex);
  if (!make_file(s) || size > kFileSize - s.next || kFileSize - s.next - size < kGap) return std::nullopt;
  const uint64_t offset = s.next;
  if (!fill_memory_file(s.file.get(), offset, size)) return std::nullopt;
  s.next += size + kGap;  // never given again: the program may have private pages over it to its end
  return FilePart{s.file.get(), offset, size};
}

void release_part(const FilePart& part) { empty_memory_file(part.fd, part.offset, part.size); }

bool move_pages(const Pages& pages, const FilePart& part, uint64_t context) {
  State& s = state();
  std::lock_guard lock(s.mutex);
  for (uint64_t done = 0; done < pages.size; done += kStep) {
    const Pages step{pages.first + done, std::min(kStep, pages.size - done)};
    if (move_step(step, part.fd, part.offset + done)) continue;
    give_back(s, {pages, part.offset, context});
    return false;
  }
  s.moved[pages.first] = {pages, part.offset, context};
  return true;
}

void give_back_pages(uint64_t first) {
  State& s = state();
  std::lock_guard lock(s.mutex);
  auto it = s.moved.find(first);
  if (it == s.moved.end()) return;
  give_back(s, it->second);
  s.moved.erase(it);
}

void give_back_pages_of(uint64_t context) {
  State& s = state();
  std::lock_guard lock(s.mutex);
  std::erase_if(s.moved, [&](const auto& m) {
    if (m.second.context != context) return false;
    give_back(s, m.second);
    return true;
  });
}

}  // namespace nm::client
