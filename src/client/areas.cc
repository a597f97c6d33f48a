#include "client/areas.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <charconv>
#include <string>

#include "base/fd.h"

namespace nm::client {
namespace {

// Takes a number off the front, and the one character behind it.
bool take(std::string_view* text, int base, char behind, uint64_t* out) {
  auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), *out, base);
  if (error != std::errc{} || end == text->data() + text->size() || *end != behind) return false;
  text->remove_prefix(static_cast<size_t>(end - text->data()) + 1);
  return true;
}

}  // namespace

int Area::protection() const {
  return (readable ? PROT_READ : 0) | (writable ? PROT_WRITE : 0) | (executable ? PROT_EXEC : 0);
}

bool parse_area(std::string_view line, Area* out) {
  Area a;
  if (!take(&line, 16, '-', &a.first) || !take(&line, 16, ' ', &a.end) || line.size() < 5) return false;
  a.readable = line[0] == 'r';
  a.writable = line[1] == 'w';
  a.executable = line[2] == 'x';
  a.shared = line[3] == 's';
  line.remove_prefix(5);
  uint64_t major, minor, inode;
  if (!take(&line, 16, ' ', &a.offset) || !take(&line, 16, ':', &major) || !take(&line, 16, ' ', &minor)) return false;
  // Without a name the number may end the line.
  auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), inode);
  if (error != std::errc{}) return false;
  line.remove_prefix(static_cast<size_t>(end - line.data()));
  a.device = makedev(static_cast<unsigned>(major), static_cast<unsigned>(minor));
  a.inode = inode;
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  a.name = line;
  *out = a;
  return true;
}

bool for_each_area(const std::function<bool(const Area&)>& visit) {
  const Fd file(::open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
  if (!file) return false;
  std::string text;
  char piece[16 << 10];
  for (;;) {
    const ssize_t n = ::read(file.get(), piece, sizeof piece);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    text.append(piece, static_cast<size_t>(n));
    size_t at = 0;
    for (size_t end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
      Area area;
      if (!parse_area(std::string_view(text).substr(at, end - at), &area)) return false;
      if (!visit(area)) return true;
    }
    text.erase(0, at);
    if (n == 0) return true;
  }
}

}  // namespace nm::client
