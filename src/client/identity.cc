#include "client/identity.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <set>
#include <vector>

#include "client/export_tables.h"
#include "client/client.h"
#include "remote.h"

namespace nm::client {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kMaxTable = 4096;           // bytes; the tables known are far smaller
constexpr uint64_t kLowest = 1 << 16, kHighest = 1ull << 47;
constexpr size_t kJumpSize = 12;

wire::IdentityPlace g_place;

bool plausible(uint64_t address, uint64_t size) {
  return address >= kLowest && address < kHighest && size <= kMaxTable && address + size <= kHighest;
}

CUresult ask(uint32_t version, uint64_t seconds, uint64_t* words) {
  uint64_t answer[2];
  CUresult result = remote::nm_identity(version, seconds, static_cast<uint64_t>(getpid()),
                                        static_cast<uint64_t>(pthread_self()), reinterpret_cast<unsigned long long*>(answer));
  if (result == CUDA_SUCCESS && words) {
    words[0] = answer[0];
    words[1] = answer[1];
  }
  return result;
}

// movabs rax, target; jmp rax
void write_jump(uint8_t* at, void* target) {
  at[0] = 0x48;
  at[1] = 0xb8;
  memcpy(at + 2, &target, sizeof target);
  at[10] = 0xff;
  at[11] = 0xe0;
}

}  // namespace

bool place_identity(const wire::IdentityPlace& place) {
  g_place = {};
  if (!place.cudart_table || !place.integrity_table || !place.integrity_function) return true;
  if (!plausible(place.cudart_table, place.cudart_size) || !plausible(place.integrity_table, place.integrity_size) ||
      !plausible(place.integrity_function, kJumpSize) || place.cudart_size < 13 * 8 || place.integrity_size < 3 * 8) {
    return false;
  }
  std::set<uint64_t> pages;
  auto cover = [&](uint64_t address, uint64_t size) {
    for (uint64_t p = address & ~(kPage - 1); p < address + size; p += kPage) pages.insert(p);
  };
  cover(place.cudart_table, place.cudart_size);
  cover(place.integrity_table, place.integrity_size);
  cover(place.integrity_function, kJumpSize);
  std::vector<void*> mapped;
  for (uint64_t p : pages) {
    // SAFETY: NOREPLACE, so nothing of the program is ever covered, whatever addresses the server names.
    void* at = mmap(reinterpret_cast<void*>(p), kPage, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (at == reinterpret_cast<void*>(p)) {
      mapped.push_back(at);
      continue;
    }
    if (at != MAP_FAILED) munmap(at, kPage);  // a kernel before 4.17 takes the address as a hint
    for (void* m : mapped) munmap(m, kPage);
    return false;
  }
  fill_cudart_table(reinterpret_cast<uint64_t*>(place.cudart_table), place.cudart_size);
  fill_plain_table(reinterpret_cast<uint64_t*>(place.integrity_table), place.integrity_size);
  reinterpret_cast<uint64_t*>(place.integrity_table)[1] = place.integrity_function;
  write_jump(reinterpret_cast<uint8_t*>(place.integrity_function), reinterpret_cast<void*>(&ask));
  uint64_t first = place.integrity_function & ~(kPage - 1), last = (place.integrity_function + kJumpSize - 1) & ~(kPage - 1);
  for (uint64_t p : pages) {
    mprotect(reinterpret_cast<void*>(p), kPage, p == first || p == last ? PROT_READ | PROT_EXEC : PROT_READ);
  }
  g_place = place;
  return true;
}

uint64_t* cudart_table() { return reinterpret_cast<uint64_t*>(g_place.cudart_table); }
uint64_t* integrity_table() { return reinterpret_cast<uint64_t*>(g_place.integrity_table); }

}  // namespace nm::client
