// nearmetal pool invite, join, revoke and members.
#include <fmt/format.h>
#include <signal.h>
#include <stdio.h>

#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/grid.h"
#include "cmd/pool.h"
#include "identity/audit.h"
#include "identity/authority.h"
#include "identity/enrolment.h"
#include "identity/files.h"
#include "identity/invites.h"
#include "identity/revocations.h"
#include "identity/roster.h"

namespace nm::cmd {
namespace {

constexpr Millis kJoin{20'000};

std::string utc(time_t time) {
  tm broken = {};
  ::gmtime_r(&time, &broken);
  char text[32] = "";
  ::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &broken);
  return text;
}

Result<identity::Token> invite(const identity::PoolDir& dir, const identity::Invite& invite, const std::string& address,
                               time_t now) {
  const auto settings = identity::read_settings(dir);
  if (!settings) return settings.error();
  const auto authority = identity::Authority::open(dir);
  if (!authority) return authority.error();
  const auto lock = identity::lock_directory(dir.path);
  if (!lock) return lock.error();
  const identity::AuditEvent event = {
      .what = "invite",
      .who = caller(),
      .from = "this host",
      .more = {{"role", std::string(text_of(invite.role))}, {"name", invite.name}, {"expires", utc(invite.expires)}}};
  if (auto noted = identity::AuditLog(dir.audit()).write(event, now, true); !noted) return noted.error();
  const auto secret = identity::Invites(dir).add(invite, now);
  if (!secret) return secret.error();
  return identity::Token{.secret = *secret,
                         .authority = authority->certificate().fingerprint(),
                         .address = address.empty() ? settings->address : address};
}

struct Row {
  identity::Issued newest;
  bool revoked = false;
};

// The newest certificate of each member, by role and name.
Result<std::map<std::string, Row>> newest(const identity::PoolDir& dir) {
  const auto settings = identity::read_settings(dir);
  if (!settings) return settings.error();
  const auto authority = identity::Authority::open(dir);
  if (!authority) return authority.error();
  const auto issued = identity::read_issued(dir);
  if (!issued) return issued.error();
  const auto revoked = identity::Revocations::read(dir, authority->certificate(), settings->id);
  if (!revoked) return revoked.error();
  std::map<std::string, Row> rows;
  for (const identity::Issued& one : *issued) {
    rows[fmt::format("{} {}", text_of(one.role), one.name)] = {one, revoked->has(one.serial)};
  }
  return rows;
}

std::string state_of(const Row& row, time_t now) {
  if (row.revoked) return "revoked";
  return row.newest.until < now ? "expired" : "valid";
}

}  // namespace

int pool_invite_verb(const Args& args) {
  std::string dir, host, user, expires = "1h", address;
  CLI::App app("Prints a token, with which one host or user joins the pool, once.", "nearmetal pool invite");
  add_dir(app, dir);
  auto* for_host = app.add_option("--host", host, "the new member is a host, by this name")->type_name("NAME");
  auto* for_user = app.add_option("--user", user, "the new member is a user, by this name")->type_name("NAME");
  for_host->excludes(for_user);
  app.add_option("--expires", expires, "how long the token counts: 30m, 24h, 7d (default 1h)")->type_name("TIME");
  app.add_option("--address", address, "how the new member reaches this host (default: as `pool init` was told)")
      ->type_name("HOST:PORT");
  app.footer(
      "The token is printed to standard output, and nothing else is. Whoever has it can join: send it as you would "
      "a password.\n\nExample:\n  nearmetal pool invite --user alice --expires 24h");
  if (const auto status = parse(app, args)) return *status;
  if (for_host->count() + for_user->count() != 1) {
    return fail("Say who is invited: --host NAME or --user NAME.", kUsage);
  }
  const bool is_host = for_host->count() > 0;
  const std::string& name = is_host ? host : user;
  if (!identity::is_member_name(name)) {
    return fail(
        fmt::format("\"{}\" is not a name of a member: 1 to 63 letters, digits and . _ - @, the first a letter or "
                    "digit.",
                    name),
        kUsage);
  }
  const auto seconds = parse_time("--expires", expires);
  if (!seconds) return fail(seconds.error().message, kUsage);
  if (!address.empty()) {
    const auto named = parse_host_and_port("--address", address);
    if (!named) return fail(named.error().message, kUsage);
    address = *named;
  }
  const time_t now = ::time(nullptr);
  const auto token =
      invite(dir_of(dir),
             {.role = is_host ? identity::Role::host : identity::Role::user, .name = name, .expires = now + *seconds},
             address, now);
  if (!token) return fail(token.error().message);
  fmt::print(stderr, "For {} {}, until {}, once. There: nearmetal pool join TOKEN\n", is_host ? "host" : "user", name,
             utc(now + *seconds));
  fmt::print("{}\n", token->text());
  return 0;
}

int pool_join_verb(const Args& args) {
  std::string dir, text;
  CLI::App app("Joins a pool: fetches a certificate with a token that `nearmetal pool invite` printed.",
               "nearmetal pool join");
  add_dir(app, dir);
  app.add_option("TOKEN", text, "the token; - reads it from standard input, where no list of processes shows it")
      ->required();
  app.footer("Example:\n  nearmetal pool join - < token");
  if (const auto status = parse(app, args)) return *status;
  if (text == "-") std::getline(std::cin, text);
  const auto token = identity::parse_token(text);
  if (!token) return fail(token.error().message, kUsage);
  const identity::PoolDir place = dir_of(dir);
  ::signal(SIGPIPE, SIG_IGN);  // a server that goes away is an error, not the end
  const auto member = identity::join(place, *token, kJoin);
  if (!member) return fail(member.error().message);
  fmt::print("Joined pool {} as {}; the certificate is in {}.\n", member->pool, member->text(), place.path);
  return 0;
}

int pool_revoke_verb(const Args& args) {
  std::string dir, name;
  CLI::App app("Ends all certificates of a member before their time. Other hosts hear of it within minutes.",
               "nearmetal pool revoke");
  add_dir(app, dir);
  app.add_option("NAME", name, "the member's name")->required();
  app.footer(
      "Connections that are open stay open. A new invitation lets the member in again.\n\n"
      "Example:\n  nearmetal pool revoke alice");
  if (const auto status = parse(app, args)) return *status;
  const auto count = identity::revoke(dir_of(dir), name, caller(), ::time(nullptr));
  if (!count) return fail(count.error().message);
  if (*count == 0) {
    fmt::print("{} has no certificate that counts.\n", name);
  } else {
    fmt::print("Revoked {} certificate(s) of {}.\n", *count, name);
  }
  return 0;
}

int pool_members_verb(const Args& args) {
  std::string dir, format = "table";
  CLI::App app("Lists the members of the pool and until when their certificates count.", "nearmetal pool members");
  add_dir(app, dir);
  app.add_option("-o,--output", format, "table (the default) or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->type_name("FORMAT");
  app.footer("Example:\n  nearmetal pool members -o json");
  if (const auto status = parse(app, args)) return *status;
  const auto rows = newest(dir_of(dir));
  if (!rows) return fail(rows.error().message);
  const time_t now = ::time(nullptr);
  if (format == "json") {
    auto list = nlohmann::ordered_json::array();
    for (const auto& [key, row] : *rows) {
      list.push_back({{"role", text_of(row.newest.role)},
                      {"name", row.newest.name},
                      {"state", state_of(row, now)},
                      {"since", utc(row.newest.since)},
                      {"until", utc(row.newest.until)},
                      {"serial", row.newest.serial}});
    }
    fmt::print("{}\n", list.dump(2));
    return 0;
  }
  Grid grid;
  grid.row({{.text = "ROLE", .left = true},
            {.text = "NAME", .left = true},
            {.text = "STATE", .left = true},
            {.text = "UNTIL", .left = true}});
  for (const auto& [key, row] : *rows) {
    grid.row({{.text = std::string(text_of(row.newest.role)), .left = true},
              {.text = row.newest.name, .left = true},
              {.text = state_of(row, now), .left = true},
              {.text = utc(row.newest.until), .left = true}});
  }
  for (const std::string& line : grid.lines(false)) fmt::print("{}\n", line);
  return 0;
}

}  // namespace nm::cmd
