// Holds back whoever would write to some pages of this process, for as long as it takes to put others in their place.
//
// The kernel can do that for us (userfaultfd, write protection): a thread that writes, in its own code or within a
// system call, sleeps until it is woken, and then finds the new pages. The kernel offers that to root, to who has
// CAP_SYS_PTRACE or may open /dev/userfaultfd, or to everybody (vm.unprivileged_userfaultfd). What it offers to the
// others (UFFD_USER_MODE_ONLY) is not enough: a system call that writes there would fail with EFAULT. Where no other
// thread exists, nobody need be held back.
//
// Neither helps against devices and kernel threads that keep hold of the pages themselves: see written_from_behind().
#pragma once

#include <signal.h>

#include <cstdint>

#include "base/fd.h"

namespace nm::client {

class QuietPages {
 public:
  // Nobody is held back yet. The pages must be there already. `promised`: no other thread writes to them anyway.
  QuietPages(uint64_t first, uint64_t size, bool promised = false);
  // Who still waits goes on, and writes to what is there then.
  ~QuietPages();
  QuietPages(const QuietPages&) = delete;
  QuietPages& operator=(const QuietPages&) = delete;

  // False: writers cannot be held back here.
  bool possible() const { return alone_ || fd_; }
  // From here on nobody writes to the pages; until the end of this object its thread must not either, and may not
  // allocate memory or take a lock: who waits may hold it. False: they could not be held back after all.
  bool hold();

 private:
  const uint64_t first_, size_;
  bool alone_ = false;
  bool held_ = false;
  sigset_t signals_;
  Fd fd_;
};

// True if something may write to memory of this process other than through its page tables: a read past the page cache,
// io_uring, a device that was given the pages. Only system calls, no locks.
bool written_from_behind();

// Gives each page of the range one of its own; what is there stays. False: there is no room.
bool populate(uint64_t first, uint64_t size);

}  // namespace nm::client
