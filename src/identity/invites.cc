#include "identity/invites.h"

#include <fmt/format.h>
#include <stdio.h>
#include <unistd.h>

#include <filesystem>

#include "base/number.h"
#include "identity/files.h"

namespace nm::identity {
namespace {

constexpr std::string_view kPrefix = "nearmetal-1.";
constexpr size_t kCheckSize = 4;  // a token is copied by people: a slip is told from a token that is used up
constexpr time_t kRemembered = 7 * 24 * 3600;  // so long a used token is told from one that never was
constexpr std::string_view kUsed = ".used";

std::string bytes_of(const Hash& hash) { return {reinterpret_cast<const char*>(hash.data()), hash.size()}; }

std::string check_of(std::string_view address, std::string_view rest) {
  return bytes_of(sha256(std::string(address) + '\n' + std::string(rest))).substr(0, kCheckSize);
}

// "user alice 1796138000"
std::string text_of(const Invite& invite) {
  return fmt::format("{} {} {}\n", text_of(invite.role), invite.name, static_cast<int64_t>(invite.expires));
}

Result<Invite> parse_invite(std::string_view text, const std::string& path) {
  Invite invite;
  const bool host = text.starts_with("host ");
  invite.role = host ? Role::host : Role::user;
  int64_t expires = 0;
  if (host || text.starts_with("user ")) {
    text.remove_prefix(5);
    invite.name = text.substr(0, text.find(' '));
    text.remove_prefix(invite.name.size());
    if (is_member_name(invite.name) && take_number(&text, &expires) && text == "\n") {
      invite.expires = expires;
      return invite;
    }
  }
  return Error{fmt::format("{} is no invitation. Remove it and invite again.", path)};
}

}  // namespace

std::string Token::text() const {
  const std::string rest = bytes_of(authority) + secret;
  return std::string(kPrefix) + address + "." + base64url(rest + check_of(address, rest));
}

Result<Token> parse_token(std::string_view text) {
  const Error bad = {
      "This is not a whole token. Copy all of the line that `nearmetal pool invite` printed: it begins with "
      "nearmetal-1."};
  const size_t dot = text.rfind('.');
  if (text.size() > 512 || !text.starts_with(kPrefix) || dot < kPrefix.size() || dot == text.npos) return bad;
  Token token;
  token.address = text.substr(kPrefix.size(), dot - kPrefix.size());
  const auto bytes = from_base64url(text.substr(dot + 1));
  if (!bytes || bytes->size() != token.authority.size() + kSecretSize + kCheckSize || token.address.empty()) return bad;
  const std::string_view rest = std::string_view(*bytes).substr(0, bytes->size() - kCheckSize);
  if (check_of(token.address, rest) != bytes->substr(rest.size())) return bad;
  std::copy_n(rest.begin(), token.authority.size(), token.authority.begin());
  token.secret = rest.substr(token.authority.size());
  return token;
}

std::string Invites::file_of(std::string_view secret) const { return dir_ + "/" + hex(sha256(secret)); }

Result<std::string> Invites::add(const Invite& invite, time_t now) {
  if (auto made = make_private_directory(dir_, 0700); !made) return made.error();
  remove_old(now);
  const std::string secret = random_bytes(kSecretSize);
  if (auto kept = write_new(file_of(secret), text_of(invite), 0600); !kept) return kept.error();
  return secret;
}

Result<Invite> Invites::redeem(std::string_view secret, time_t now) {
  const std::string path = file_of(secret), used = path + std::string(kUsed);
  const auto text = read_file(path, 256);
  if (!text) {
    if (exists(used)) return Error{"The token has been used. Ask for a new one: each lets one member join, once."};
    return Error{"The pool knows no such token. Ask for a new one with `nearmetal pool invite`."};
  }
  auto invite = parse_invite(*text, path);
  if (!invite) return invite.error();
  if (now > invite->expires) {
    return Error{"The token's time is over. Ask for a new one; `nearmetal pool invite --expires 24h` gives more time."};
  }
  // Who renames it has it; of two at the same time the kernel lets one.
  if (::rename(path.c_str(), used.c_str()) != 0) {
    return Error{"The token has been used. Ask for a new one: each lets one member join, once."};
  }
  return invite;
}

void Invites::restore(std::string_view secret) {
  const std::string path = file_of(secret);
  ::rename((path + std::string(kUsed)).c_str(), path.c_str());
}

void Invites::remove_old(time_t now) const {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(dir_, ignored)) {
    const auto text = read_file(entry.path(), 256);
    if (!text) continue;
    const auto invite = parse_invite(*text, entry.path());
    if (invite && invite->expires + kRemembered < now) std::filesystem::remove(entry.path(), ignored);
  }
}

}  // namespace nm::identity
