#include "store/url.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/number.h"

namespace nm::store {
namespace {

constexpr size_t kMaxMembers = 9;
constexpr size_t kMaxPrefix = 64;

Error wrong(std::string_view url, std::string_view why) { return {fmt::format("\"{}\" names no store: {}", url, why)}; }

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

bool is_plain(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' || c == '_';
}

// "host", "host:port", "[v6]", "[v6]:port"; empty: it is none of these.
std::string member_of(std::string_view text) {
  std::string host;
  if (!text.empty() && text.front() == '[') {
    const size_t end = text.find(']');
    if (end == std::string_view::npos || end < 3) return {};
    host = text.substr(0, end + 1);
    if (!std::all_of(host.begin() + 1, host.end() - 1, [](char c) { return is_plain(c) || c == ':' || c == '%'; }))
      return {};
    text.remove_prefix(end + 1);
  } else {
    host = text.substr(0, text.find(':'));
    if (host.empty() || !std::all_of(host.begin(), host.end(), is_plain)) return {};
    text.remove_prefix(host.size());
  }
  unsigned port = 2379;
  if (!text.empty()) {
    if (!take_char(&text, ':') || text.empty() || text.front() < '0' || text.front() > '9') return {};
    if (!take_number(&text, &port) || !text.empty() || port == 0 || port > 65535) return {};
  }
  return fmt::format("{}:{}", host, port);
}

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool decode(std::string_view text, std::string* out) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      *out += text[i];
      continue;
    }
    if (i + 2 >= text.size() || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0) return false;
    *out += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
    i += 2;
  }
  return out->find('\0') == std::string::npos;
}

Result<Location> parse_etcd(std::string_view url, std::string_view rest, bool tls) {
  Location location{Location::Kind::etcd, {}, {}};
  EtcdOptions& etcd = location.etcd;
  etcd.tls = tls;
  const size_t question = rest.find('?');
  const std::string_view hosts = rest.substr(0, question);
  if (hosts.find('/') != std::string_view::npos) {
    return wrong(url, "after the members comes `?`, not a path. Write etcd://HOST,HOST,HOST?prefix=NAME.");
  }
  for (const std::string_view text : split(hosts, ',')) {
    const std::string member = member_of(text);
    if (member.empty())
      return wrong(url, fmt::format("\"{}\" is no member. Write HOST or HOST:PORT, with commas between.", text));
    if (std::find(etcd.members.begin(), etcd.members.end(), member) != etcd.members.end()) {
      return wrong(url, fmt::format("it names {} twice. Name each member once.", member));
    }
    etcd.members.push_back(member);
  }
  if (etcd.members.size() > kMaxMembers)
    return wrong(url, fmt::format("it has more than {} members. Name fewer; three will do.", kMaxMembers));
  if (question == std::string_view::npos) return location;

  std::set<std::string_view> given;
  for (const std::string_view option : split(rest.substr(question + 1), '&')) {
    const size_t equals = option.find('=');
    const std::string_view name = option.substr(0, equals);
    std::string value;
    if (equals == std::string_view::npos || !decode(option.substr(equals + 1), &value) || value.empty()) {
      return wrong(url, fmt::format("the option \"{}\" has no value. Write {}=VALUE.", option, name));
    }
    std::string* where = name == "prefix" ? &etcd.prefix
                         : name == "ca"   ? &etcd.ca
                         : name == "cert" ? &etcd.cert
                         : name == "key"  ? &etcd.key
                                          : nullptr;
    if (!where) return wrong(url, fmt::format("there is no option \"{}\". There are prefix, ca, cert and key.", name));
    if (!given.insert(name).second) return wrong(url, fmt::format("it has the option {} twice. Give it once.", name));
    if (name != "prefix" && !tls)
      return wrong(url, fmt::format("{} is for TLS. Write etcds:// instead of etcd://.", name));
    *where = std::move(value);
  }
  if (etcd.cert.empty() != etcd.key.empty()) return wrong(url, "cert and key belong together. Give both, or neither.");
  if (etcd.prefix.size() > kMaxPrefix)
    return wrong(url, fmt::format("its prefix is longer than {} bytes. Use a shorter one.", kMaxPrefix));
  if (etcd.prefix.back() != '/') etcd.prefix += '/';
  return location;
}

}  // namespace

Result<Location> parse_location(std::string_view url) {
  constexpr std::string_view kSqlite = "sqlite:", kEtcd = "etcd://", kEtcds = "etcds://";
  if (url.starts_with(kSqlite)) {
    const std::string_view path = url.substr(kSqlite.size());
    if (path.empty() || path.find('\0') != std::string_view::npos)
      return wrong(url, "no file follows. Write sqlite:/DIRECTORY/FILE.");
    if (path.starts_with("//")) return wrong(url, "two slashes follow. Write sqlite:/DIRECTORY/FILE.");
    if (path.back() == '/') return wrong(url, "a directory follows, not a file. Write sqlite:/DIRECTORY/FILE.");
    return Location{Location::Kind::sqlite, std::string(path), {}};
  }
  if (url.starts_with(kEtcd)) return parse_etcd(url, url.substr(kEtcd.size()), false);
  if (url.starts_with(kEtcds)) return parse_etcd(url, url.substr(kEtcds.size()), true);
  return wrong(url,
               "it begins neither with sqlite: nor with etcd:// nor etcds://. Write sqlite:/DIRECTORY/FILE, or "
               "etcd://HOST,HOST,HOST.");
}

}  // namespace nm::store
