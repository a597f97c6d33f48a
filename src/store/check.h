// What no implementation takes, said once and before anything is sent; and the arithmetic of prefixes and pages, which
// all of them share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/store.h"

namespace nm::store {

Answer<void> check(const Query& query);
Answer<void> check(const Transaction& transaction);
Answer<void> check_ttl(Millis ttl);
Answer<void> check_watch(const std::string& prefix, Revision from);

// A key for a sentence: short, printable, in quotes.
std::string quoted(std::string_view key);

// Keys from `begin` on and before `end`; `end` empty: all that follow.
struct Span {
  std::string begin;
  std::string end;
};
Span span_of(const Query& query);
Span span_of_prefix(const std::string& prefix);
bool contains(const Span& span, std::string_view key);

size_t limit_of(const Query& query);

// Page::next: the revision that is being read and the last key that was. The text is ours, but it travels through other
// hands, and is believed only as far as it can be.
std::string page_token(Revision revision, std::string_view last_key);
struct Position {
  Revision revision = 0;  // 0: the newest, from the beginning
  std::string last_key;
};
Answer<Position> position_of(const Query& query);

Failure compacted(std::string_view store, Revision wanted, Revision kept);
Failure no_lease(LeaseId lease);

}  // namespace nm::store
