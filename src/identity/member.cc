#include "identity/member.h"

#include <algorithm>

namespace nm::identity {
namespace {

constexpr std::string_view kPrefix = "nearmetal://pool/";

bool is_plain(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

}  // namespace

std::string_view text_of(Role role) { return role == Role::host ? "host" : "user"; }

std::string Member::uri() const { return std::string(kPrefix) + pool + "/" + std::string(text_of(role)) + "/" + name; }

std::string Member::text() const { return std::string(text_of(role)) + " " + name; }

std::optional<Member> parse_member(std::string_view uri) {
  if (!uri.starts_with(kPrefix)) return {};
  uri.remove_prefix(kPrefix.size());
  Member member;
  member.pool = uri.substr(0, uri.find('/'));
  uri.remove_prefix(member.pool.size());
  if (uri.starts_with("/host/")) {
    member.role = Role::host;
  } else if (!uri.starts_with("/user/")) {
    return {};
  }
  member.name = uri.substr(6);
  const bool is_id = member.pool.size() == 16 && member.pool.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!is_id || !is_member_name(member.name)) return {};
  return member;
}

std::optional<Member> parse_member_text(std::string_view text, const std::string& pool) {
  const size_t blank = text.find(' ');
  if (blank == text.npos) return {};
  return parse_member(std::string(kPrefix) + pool + "/" + std::string(text.substr(0, blank)) + "/" +
                      std::string(text.substr(blank + 1)));
}

bool is_member_name(std::string_view name) {
  return !name.empty() && name.size() <= 63 && is_plain(name[0]) && std::all_of(name.begin(), name.end(), [](char c) {
    return is_plain(c) || c == '.' || c == '_' || c == '-' || c == '@';
  });
}

}  // namespace nm::identity
