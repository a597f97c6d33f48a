// Who somebody is: a host or a user of one pool, by name. A certificate says it in one URI, in the manner of SPIFFE:
// nearmetal://pool/4f1c.../user/alice
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace nm::identity {

enum class Role { host, user };
std::string_view text_of(Role role);  // "host", "user"

struct Member {
  std::string pool;  // 16 hex digits
  Role role = Role::user;
  std::string name;

  std::string uri() const;
  std::string text() const;  // "user alice"
  bool operator==(const Member&) const = default;
};

// Nothing where it is not exactly what uri() writes.
std::optional<Member> parse_member(std::string_view uri);

// "user alice" of this pool: what text() writes.
std::optional<Member> parse_member_text(std::string_view text, const std::string& pool);

// 1 to 63 of letters, digits, '.', '_', '-' and '@', the first a letter or digit: nothing that means something to a
// shell, a path, a URI or a terminal.
bool is_member_name(std::string_view name);

}  // namespace nm::identity
