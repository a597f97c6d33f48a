#include "identity/revocations.h"

#include <fmt/format.h>

#include "base/number.h"
#include "identity/files.h"

namespace nm::identity {
namespace {

constexpr std::string_view kFirstLine = "nearmetal-revocations 1";

// The word up to the next blank.
std::string_view take_word(std::string_view* line) {
  const std::string_view word = line->substr(0, line->find(' '));
  line->remove_prefix(std::min(line->size(), word.size() + 1));
  return word;
}

}  // namespace

Result<Revocations> Revocations::parse(std::string_view text, const Certificate& authority, const std::string& pool) {
  const Error broken = {"The list of revoked certificates is not one that this pool's authority signed."};
  const size_t last = text.rfind("signature ");
  if (last == text.npos || !text.ends_with('\n')) return broken;
  const auto signature = from_base64url(text.substr(last + 10, text.size() - last - 11));
  std::string_view body = text.substr(0, last);
  // Nothing of it is read before it is known whose words these are.
  if (!signature || !is_signed_by(authority, body, *signature)) return broken;
  Revocations out(pool);
  for (size_t number = 0; !body.empty(); number++) {
    const size_t end = body.find('\n');
    std::string_view line = body.substr(0, end);
    if (end == body.npos) return broken;
    body.remove_prefix(end + 1);
    if (number == 0) {
      if (line != kFirstLine) return broken;
      continue;
    }
    const std::string_view key = take_word(&line);
    if (number == 1) {
      if (key != "pool" || line != pool) return broken;
    } else if (number == 2) {
      if (key != "version" || !take_number(&line, &out.version_) || !line.empty()) return broken;
    } else {
      Entry entry;
      entry.serial = take_word(&line);
      int64_t until = 0;
      if (key != "revoked" || !from_hex(entry.serial) || !take_number(&line, &until) || !take_char(&line, ' ')) {
        return broken;
      }
      entry.until = until;
      entry.member = line;
      out.add(std::move(entry));
    }
  }
  return out;
}

Result<Revocations> Revocations::read(const PoolDir& dir, const Certificate& authority, const std::string& pool) {
  if (!exists(dir.revoked())) return Revocations(pool);
  const auto text = read_file(dir.revoked());
  if (!text) return text.error();
  auto list = parse(*text, authority, pool);
  if (!list) return Error{fmt::format("{}: {} Remove it; it is fetched again.", dir.revoked(), list.error().message)};
  return list;
}

void Revocations::add(Entry entry) {
  if (serials_.insert(entry.serial).second) entries_.push_back(std::move(entry));
}

std::string Revocations::unsigned_text() const {
  std::string text = fmt::format("{}\npool {}\nversion {}\n", kFirstLine, pool_, version_);
  for (const Entry& entry : entries_) {
    text += fmt::format("revoked {} {} {}\n", entry.serial, static_cast<int64_t>(entry.until), entry.member);
  }
  return text;
}

Result<std::string> Revocations::sign_next(const Authority& authority, time_t now) {
  version_++;
  std::erase_if(entries_, [now](const Entry& entry) { return entry.until + kClockSkew < now; });
  serials_.clear();
  for (const Entry& entry : entries_) serials_.insert(entry.serial);
  const std::string text = unsigned_text();
  const auto signature = authority.sign(text);
  if (!signature) return signature.error();
  return text + "signature " + base64url(*signature) + "\n";
}

}  // namespace nm::identity
