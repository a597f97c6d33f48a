#include "inventory/reader.h"

#include <errno.h>
#include <string.h>

namespace nm::inventory {
namespace {

constexpr size_t kTroubles = 40;  // more would tell nobody more

bool blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\0'; }

}  // namespace

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string clean(std::string_view text, size_t most) {
  text = trimmed(text);
  std::string out;
  for (const char c : text.substr(0, most)) out += (c >= ' ' && c < '\x7f') ? c : '?';
  if (text.size() > most) out += "...";
  return out;
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  for (size_t begin = 0; begin < text.size();) {
    if (blank(text[begin])) {
      ++begin;
      continue;
    }
    size_t end = begin;
    while (end < text.size() && !blank(text[end])) ++end;
    words.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return words;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::string_view last_part(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

void Reader::trouble(std::string sentence) {
  if (troubles.size() < kTroubles) troubles.push_back(std::move(sentence));
}

void Reader::failed(const std::string& path, int error) {
  // ENODEV and ENXIO: the kernel has the file, the device has no such thing. ESRCH: the process has just ended.
  if (error == ENOENT || error == ENOTDIR || error == ENODEV || error == ENXIO || error == ESRCH) return;
  if (error == EACCES || error == EPERM) {
    ++refused;
    return;
  }
  trouble(path + " cannot be read: " + ::strerror(error) + ".");
}

std::optional<std::string> Reader::raw(const std::string& path, size_t most) {
  Reading reading = host.read(path, most);
  if (reading) return std::move(reading.text);
  failed(path, reading.error);
  return std::nullopt;
}

std::optional<std::string> Reader::text(const std::string& path, size_t most) {
  const auto all = raw(path, most);
  if (!all) return std::nullopt;
  return clean(*all);
}

std::string Reader::link_name(const std::string& path) {
  const Reading link = host.link(path);
  if (link) return clean(last_part(link.text));
  if (link.error == EINVAL) {
    trouble(path + " should be a link and is none.");
  } else {
    failed(path, link.error);
  }
  return "";
}

std::vector<std::string> Reader::list(const std::string& path) {
  Listing listing = host.list(path);
  if (listing.error != 0) failed(path, listing.error);
  return std::move(listing.names);
}

}  // namespace nm::inventory
