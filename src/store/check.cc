#include "store/check.h"

#include <fmt/format.h>

#include <set>

#include "base/number.h"

namespace nm::store {
namespace {

Failure invalid(std::string message) { return {Trouble::invalid, std::move(message)}; }

Answer<void> check_key(std::string_view key) {
  if (key.empty()) return invalid("A key of the store is empty. Name what is to be read or written.");
  if (key.size() > kMaxKey) {
    return invalid(fmt::format("The key {} has {} bytes, and the store takes {}. Use a shorter name.", quoted(key),
                               key.size(), kMaxKey));
  }
  return {};
}

Answer<void> check_count(size_t count, const char* of_what) {
  if (count <= kMaxOperations) return {};
  return invalid(
      fmt::format("A transaction has {} {}, and the store takes {}. Divide it.", count, of_what, kMaxOperations));
}

}  // namespace

std::string quoted(std::string_view key) {
  std::string out = "\"";
  for (const char c : key.substr(0, 60)) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  out += key.size() > 60 ? "…\"" : "\"";
  return out;
}

Answer<void> check(const Query& query) {
  if (query.key.empty() && query.prefix) return {};
  return check_key(query.key);
}

Answer<void> check(const Transaction& transaction) {
  if (auto ok = check_count(transaction.when.size(), "compares"); !ok) return ok;
  if (auto ok = check_count(transaction.then.size(), "changes"); !ok) return ok;
  if (auto ok = check_count(transaction.otherwise.size(), "reads"); !ok) return ok;
  size_t bytes = 0;
  const std::string* largest = nullptr;
  size_t largest_size = 0;
  const auto count = [&](const std::string& key, size_t size) {
    bytes += key.size() + size + 128;
    if (!largest || size > largest_size) largest = &key, largest_size = size;
  };
  for (const Compare& compare : transaction.when) {
    if (auto ok = check_key(compare.key); !ok) return ok;
    if (compare.revision < 0) {
      return invalid(fmt::format("{} is compared with revision {}, which there cannot be.", quoted(compare.key),
                                 compare.revision));
    }
    count(compare.key, compare.value.size());
  }
  std::set<std::string_view> changed;
  for (const Change& change : transaction.then) {
    if (auto ok = check_key(change.key); !ok) return ok;
    if (!changed.insert(change.key).second) {
      return invalid(
          fmt::format("{} is changed twice in one transaction. Say once what shall become of it.", quoted(change.key)));
    }
    if (change.lease < 0) return no_lease(change.lease);
    count(change.key, change.value.size());
  }
  for (const Query& query : transaction.otherwise) {
    if (auto ok = check(query); !ok) return ok;
    if (!query.after.empty())
      return invalid("A read within a transaction begins at the beginning. Take further pages with get().");
    count(query.key, 0);
  }
  if (bytes > kMaxTransaction) {
    return invalid(
        fmt::format("A transaction has {} bytes, {} of them for {}, and the store takes 1.5 MiB at once. Keep large "
                    "things elsewhere, and in the store where they are.",
                    bytes, largest_size, quoted(*largest)));
  }
  return {};
}

Answer<void> check_ttl(Millis ttl) {
  if (ttl >= kMinTtl && ttl <= kMaxTtl) return {};
  return invalid(fmt::format("A lease cannot have a time to live of {} ms. Ask for 1 s to 30 days.", ttl.count()));
}

Answer<void> check_watch(const std::string& prefix, Revision from) {
  if (from < 1) {
    return invalid(
        fmt::format("A watch of {} cannot begin at revision {}. Read first, and watch from the revision after.",
                    quoted(prefix), from));
  }
  return prefix.empty() ? Answer<void>() : check_key(prefix);
}

Span span_of_prefix(const std::string& prefix) {
  std::string end = prefix;
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return {prefix, end};
}

Span span_of(const Query& query) {
  return query.prefix ? span_of_prefix(query.key) : Span{query.key, query.key + '\0'};
}

bool contains(const Span& span, std::string_view key) {
  return key >= span.begin && (span.end.empty() || key < span.end);
}

size_t limit_of(const Query& query) { return query.limit == 0 ? kMaxPage : std::min(query.limit, kMaxPage); }

std::string page_token(Revision revision, std::string_view last_key) {
  return fmt::format("{}:{}", revision, last_key);
}

Answer<Position> position_of(const Query& query) {
  if (query.after.empty()) return Position{};
  std::string_view rest = query.after;
  Position position;
  const Failure bad = invalid(fmt::format(
      "{} does not say where a page ended. Give back `next` of the page before, unchanged, with the same query.",
      quoted(query.after)));
  if (rest.empty() || rest.front() < '0' || rest.front() > '9') return bad;
  if (!take_number(&rest, &position.revision) || position.revision < 1 || !take_char(&rest, ':')) return bad;
  position.last_key = rest;
  if (!query.prefix || !contains(span_of(query), position.last_key)) return bad;
  return position;
}

Failure compacted(std::string_view store, Revision wanted, Revision kept) {
  return {Trouble::compacted,
          fmt::format("{} keeps no history before revision {}, and {} was asked for. Read again, and watch from there.",
                      store, kept, wanted)};
}

Failure no_lease(LeaseId lease) {
  return {Trouble::no_lease,
          fmt::format("There is no lease {:x} (any more). What was held by it is lost: ask for a new one.", lease)};
}

}  // namespace nm::store
