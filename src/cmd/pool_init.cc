// nearmetal pool init: an authority of our own, and this host and its user as first members.
#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include "cmd/pool.h"
#include "identity/authority.h"
#include "identity/enrolment.h"
#include "identity/files.h"

namespace nm::cmd {
namespace {

std::string host_name() {
  char name[256] = "";
  if (::gethostname(name, sizeof name - 1) != 0 || name[0] == 0) return "localhost";
  return name;
}

// What a member may be called, made of what this system calls it.
std::string as_member_name(std::string name, const char* otherwise) {
  std::erase_if(name, [](char c) { return !identity::is_member_name(std::string("x") + c); });
  name.resize(std::min<size_t>(name.size(), 63));
  return identity::is_member_name(name) ? name : otherwise;
}

std::string user_name() {
  const passwd* who = ::getpwuid(::geteuid());
  return who ? who->pw_name : fmt::format("uid{}", ::geteuid());
}

Result<void> make(const identity::PoolDir& dir, const identity::PoolSettings& settings) {
  const time_t now = ::time(nullptr);
  if (auto made = identity::make_private_directory(dir.path, 0755); !made) return made.error();
  const auto lock = identity::lock_directory(dir.path);
  if (!lock) return lock.error();
  if (identity::exists(dir.settings())) {
    return Error{
        fmt::format("There is a pool in {} already. `nearmetal pool members` lists its members; --dir makes another "
                    "one elsewhere.",
                    dir.path)};
  }
  const auto authority = identity::Authority::create(dir, settings.id, now);
  if (!authority) return authority.error();
  // The directory is a pool once this is there.
  return identity::write_new(dir.settings(), identity::settings_text(settings), 0644);
}

}  // namespace

int pool_init_verb(const Args& args) {
  std::string dir_option, address, host_hours = "24h", user_hours = "30d";
  CLI::App app("Makes a pool: an authority that issues certificates, and this host and user as its first members.",
               "nearmetal pool init");
  add_dir(app, dir_option);
  app.add_option("--address", address,
                 fmt::format("how other hosts reach this one, where `nearmetal serve` is to listen (default: {}:{})",
                             "its name", kPoolPort))
      ->type_name("HOST:PORT");
  app.add_option("--host-lifetime", host_hours, "how long a host's certificate lasts: 24h, 7d (default 24h)")
      ->type_name("TIME");
  app.add_option("--user-lifetime", user_hours, "the same for users (default 30d)")->type_name("TIME");
  app.footer("Example:\n  nearmetal pool init --address gpu1.example.com:7811");
  if (const auto status = parse(app, args)) return *status;

  identity::PoolSettings settings = {.id = identity::hex(identity::random_bytes(8)), .address = {}};
  const auto named = parse_host_and_port("--address", address.empty() ? host_name() : address);
  if (!named) return fail(named.error().message, kUsage);
  settings.address = *named;
  for (const auto& [option, text, place] : {std::tuple{"--host-lifetime", host_hours, &settings.host_hours},
                                            {"--user-lifetime", user_hours, &settings.user_hours}}) {
    const auto seconds = parse_time(option, text);
    if (!seconds) return fail(seconds.error().message, kUsage);
    *place = (*seconds + 3599) / 3600;
  }
  const identity::PoolDir dir = dir_of(dir_option);
  if (auto made = make(dir, settings); !made) return fail(made.error().message);
  const identity::Member host = {settings.id, identity::Role::host, as_member_name(host_name(), "host")};
  const identity::Member user = {settings.id, identity::Role::user, as_member_name(user_name(), "user")};
  for (const auto& member : {host, user}) {
    if (auto issued = identity::issue_here(dir, member, ::time(nullptr)); !issued) return fail(issued.error().message);
  }
  const auto port = settings.address.substr(settings.address.rfind(':') + 1);
  fmt::print(
      "Made pool {} in {}, with {} and {}.\n"
      "Serve this host's GPUs to it: nearmetal serve --listen tls:0.0.0.0:{}\n"
      "Let others join, by {}: nearmetal pool invite --host NAME, or --user NAME\n",
      settings.id, dir.path, host.text(), user.text(), port, settings.address);
  return 0;
}

}  // namespace nm::cmd
