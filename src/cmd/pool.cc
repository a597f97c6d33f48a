// nearmetal pool: many hosts as one, and who belongs to it.
#include "cmd/pool.h"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include "base/number.h"
#include "wire/address.h"

namespace nm::cmd {
namespace {

struct PoolVerb {
  std::string_view name, summary;
  int (*run)(const Args&);
};

constexpr PoolVerb kPoolVerbs[] = {
    {"init", "make a pool: this host becomes its authority and first member", pool_init_verb},
    {"invite", "print a token that lets one host or user join", pool_invite_verb},
    {"join", "join a pool with a token", pool_join_verb},
    {"revoke", "end a member's certificates before their time", pool_revoke_verb},
    {"members", "list who has a certificate", pool_members_verb},
    {"simulate", "replay a trace of claims: what a policy makes of the hosts, and what it costs", pool_simulate_verb},
};

void print_help(FILE* to) {
  fmt::print(to, "Many hosts as one pool, and who belongs to it.\n\nUsage: nearmetal pool VERB [ARGS...]\n\n");
  for (const PoolVerb& verb : kPoolVerbs) fmt::print(to, "  {:<9}{}\n", verb.name, verb.summary);
  fmt::print(to,
             "\n`nearmetal pool VERB --help` tells more.\n\n"
             "Example:\n"
             "  gpu1$ nearmetal pool init && nearmetal serve --listen tls:0.0.0.0:7811 &\n"
             "  gpu1$ nearmetal pool invite --user alice\n"
             "  desk$ nearmetal pool join TOKEN\n"
             "  desk$ nearmetal run --server tls:gpu1:7811 -- python3 train.py\n");
}

}  // namespace

int pool_verb(const Args& args) {
  if (args.empty() || args[0] == "--help" || args[0] == "-h" || args[0] == "help") {
    print_help(args.empty() ? stderr : stdout);
    return args.empty() ? kUsage : 0;
  }
  std::string names;
  for (const PoolVerb& verb : kPoolVerbs) {
    if (verb.name == args[0]) return verb.run({args.begin() + 1, args.end()});
    names += (names.empty() ? "" : ", ") + std::string(verb.name);
  }
  return fail(fmt::format("`nearmetal pool` has no verb \"{}\". There is: {}.", args[0], names), kUsage);
}

void add_dir(CLI::App& app, std::string& dir) {
  app.add_option("--dir", dir,
                 "where the pool's files are (else NEARMETAL_POOL_DIR, else /var/lib/nearmetal/pool for root, else "
                 "nearmetal/pool in XDG_CONFIG_HOME or ~/.config)")
      ->type_name("DIR");
}

identity::PoolDir dir_of(const std::string& option) {
  if (option.empty()) return identity::default_pool_dir();
  if (option[0] == '/') return {option};
  char* here = ::get_current_dir_name();
  const std::string path = fmt::format("{}/{}", here ? here : "", option);
  ::free(here);
  return {path};
}

Result<int64_t> parse_time(const std::string& option, const std::string& text) {
  std::string_view rest = text;
  int64_t number = 0;
  const bool is_number = !rest.empty() && rest[0] >= '0' && rest[0] <= '9' && take_number(&rest, &number);
  const int64_t unit = rest == "s" ? 1 : rest == "m" ? 60 : rest == "h" ? 3600 : rest == "d" ? 86'400 : 0;
  if (is_number && unit != 0 && number >= 1 && number <= 366 * 86'400 / unit) return number * unit;
  return Error{fmt::format("{} is \"{}\"; write a time of at most a year as 30m, 24h or 7d.", option, text)};
}

Result<std::string> parse_host_and_port(const std::string& option, const std::string& text) {
  auto address = wire::parse_address("tls:" + text);
  if (!address) address = wire::parse_address(fmt::format("tls:{}:{}", text, kPoolPort));
  if (address) return address->text().substr(4);
  return Error{
      fmt::format("{} is \"{}\"; write HOST or HOST:PORT, by which other hosts reach this one.", option, text)};
}

std::string caller() {
  const passwd* who = ::getpwuid(::getuid());
  return fmt::format("uid {}{}", ::getuid(), who ? fmt::format(" ({})", who->pw_name) : "");
}

}  // namespace nm::cmd
