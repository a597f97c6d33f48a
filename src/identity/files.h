// Files whose loss or half would hurt: keys, lists, invites. What a function here reports as done has reached the disk.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace nm::identity {

// A regular file of at most `most` bytes.
Result<std::string> read_file(const std::string& path, size_t most = 4 << 20);
// All of it or nothing, and never in the place of something.
Result<void> write_new(const std::string& path, std::string_view text, mode_t mode);
// All of it or, in its place, what was there.
Result<void> replace_file(const std::string& path, std::string_view text, mode_t mode);
// One line at the end. `sync`: it has reached the disk, too. On an error nothing of it is there.
Result<void> append_line(const std::string& path, std::string_view line, mode_t mode, bool sync);
// With its parents; the last of them with `mode`. One that is there must belong to this user or to root, and others
// must not be able to write to it.
Result<void> make_private_directory(const std::string& path, mode_t mode);
// Held as long as the descriptor lives: one process at a time changes what lies in the directory.
Result<Fd> lock_directory(const std::string& path);
bool exists(const std::string& path);

}  // namespace nm::identity
