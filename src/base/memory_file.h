// Memory that two processes share: a memfd whose pages are there from the beginning.
//
// A memfd that is only made long has no pages yet, and the first store to one that the kernel cannot give is a SIGBUS
// in the middle of a program's own code. So they are asked for here, where a failure can be an answer.
#pragma once

#include <cstdint>

#include "base/fd.h"

namespace nm {

// `size` bytes, more than 0; `flags` of memfd_create besides close-on-exec. Empty: errno says why (EFBIG: the process
// may not have files of this size, see RLIMIT_FSIZE; ENOMEM, ENOSPC: there is no memory for it). A memfd counts as a
// file, but the program did not write one: no SIGXFSZ comes of it.
Fd make_memory_file(const char* name, uint64_t size, unsigned flags = 0);

// The same in two steps: a file that is only long, and pages for a part of it. False: errno says why, and the part has
// none that it had not before. Emptying gives a part's pages back; it then reads as zero.
Fd make_sparse_memory_file(const char* name, uint64_t size, unsigned flags = 0);
bool fill_memory_file(int file, uint64_t offset, uint64_t size);
bool empty_memory_file(int file, uint64_t offset, uint64_t size);

}  // namespace nm
