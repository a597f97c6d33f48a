// The program's own pages, moved into memory that the worker shares, and given back (docs/decisions/0022).
//
// What was moved stays where it is and keeps its bytes; only what lies behind the addresses changes: pages of a memory
// file in place of private ones. A forked child gets a private copy, as it would have.
#pragma once

#include <cstdint>
#include <optional>

#include "client/areas.h"

namespace nm::client {

struct Pages {
  uint64_t first, size;  // bytes; whole pages
};

// False: other threads of the program may write to the pages meanwhile, and cannot be held back.
bool may_move(const Pages& pages);

// A part of the memory file.
struct FilePart {
  int fd = -1;
  uint64_t offset = 0, size = 0;
};

// Room for pages to be moved to; the part is the caller's until the pages are moved. Nothing if there is none.
std::optional<FilePart> reserve_part(uint64_t size);
void release_part(const FilePart& part);

// Puts the part behind the pages, with the bytes that the pages have; no write of any thread is lost. False: everything
// is as before, and the part released.
bool move_pages(const Pages& pages, const FilePart& part, uint64_t context);

// The pages become the program's private memory again, wherever it has moved them since. Of pages that were not moved
// nothing happens.
void give_back_pages(uint64_t first);
// All that were moved for registrations in this context, which is gone.
void give_back_pages_of(uint64_t context);

// True if it lies in the memory file: moved, or given back.
bool lies_in_parts(const Area& area);

}  // namespace nm::client
