// The hidden programs of nearmetald that know keys (server/daemon_gate.h has what they are for), and how it is told to
// start them.
#include "cmd/gate.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/process.h"
#include "cmd/command_line.h"
#include "identity/audit.h"
#include "identity/enrolment.h"
#include "identity/gate.h"
#include "identity/policy.h"
#include "identity/tls.h"

namespace nm::cmd {
namespace {

constexpr Millis kEnrolment{10'000}, kRefresh{30'000};

}  // namespace

int gate(const Args& args) {
  identity::GateOptions options;
  CLI::App app("Shakes hands with who comes from the network. Started by nearmetald.", "nearmetald --gate");
  app.add_option("--pool", options.dir.path)->required();
  app.add_option("--control-fd", options.control_fd)->required();
  app.add_option("--listen-fd", options.listeners)->required()->take_all()->expected(1, 64)->allow_extra_args(false);
  if (const auto status = parse(app, args)) return *status;
  rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  ::signal(SIGPIPE, SIG_IGN);
  ::prctl(PR_SET_DUMPABLE, 0);  // no core file with a key in it
  options.warn = [](const std::string& line) { log::warn(line); };
  if (const auto ran = identity::run_gate(options); !ran) {
    log::error(ran.error().message);
    return kFailed;
  }
  return 0;
}

int enrol(const Args& args) {
  identity::PoolDir dir;
  int fd = -1;
  std::string peer, from;
  CLI::App app("Answers who wants a certificate. Started by nearmetald.", "nearmetald --enrol");
  app.add_option("--pool", dir.path)->required();
  app.add_option("--fd", fd)->required();
  app.add_option("--peer", peer);
  app.add_option("--from", from);
  if (const auto status = parse(app, args)) return *status;
  ::signal(SIGPIPE, SIG_IGN);
  std::optional<identity::Member> member;
  if (!peer.empty()) {
    const auto settings = identity::read_settings(dir);
    if (settings) member = identity::parse_member_text(peer, settings->id);
    if (!member) return kFailed;
  }
  identity::serve_one(fd, dir, member, from, kEnrolment);
  return 0;
}

int refresh(const Args& args) {
  identity::PoolDir dir;
  CLI::App app("Keeps this host's certificate fresh. Started by nearmetald.", "nearmetald --refresh");
  app.add_option("--pool", dir.path)->required();
  if (const auto status = parse(app, args)) return *status;
  ::signal(SIGPIPE, SIG_IGN);
  const auto fresh = identity::keep_fresh(dir, identity::Role::host, ::time(nullptr), kRefresh);
  if (!fresh) {
    log::warn("This host's certificate, or the list of revoked ones, could not be renewed: " + fresh.error().message);
    return kFailed;
  }
  if (fresh->renewed) log::info("This host's certificate was renewed.");
  if (fresh->revocations_changed) log::info("The list of revoked certificates has changed.");
  return 0;
}

Result<void> serve_encrypted(const std::string& pool_dir, server::DaemonOptions& options) {
  const auto first = std::find_if(options.listen.begin(), options.listen.end(), [](const auto& a) { return a.tls; });
  if (first == options.listen.end()) return {};
  const identity::PoolDir dir = pool_dir.empty() ? identity::default_pool_dir() : identity::PoolDir{pool_dir};
  const std::string where = fmt::format("Cannot listen on {}: ", first->text());
  if (!dir.has(identity::Role::host)) {
    return Error{
        fmt::format("{}what is not loopback is served to members of a pool only, and this host has no certificate "
                    "in {}. Make a pool with `nearmetal pool init`, or join one with `nearmetal pool join TOKEN`; "
                    "or listen on tcp:127.0.0.1:{} and let clients come through a tunnel of ssh.",
                    where, dir.path, first->port)};
  }
  const auto settings = identity::read_settings(dir);
  if (!settings) return Error{where + settings.error().message};
  if (const auto context = identity::server_context(dir); !context) return Error{where + context.error().message};
  if (const auto policy = identity::read_policy(dir); !policy) return Error{where + policy.error().message};

  server::GateCommands& gate = options.gate;
  gate.program = "/proc/self/exe";
  gate.env = current_environment();
  gate.gate = {"nearmetald", "--gate", "--pool", dir.path};
  gate.enrol = {"nearmetald", "--enrol", "--pool", dir.path};
  gate.refresh = {"nearmetald", "--refresh", "--pool", dir.path};
  options.admit = [dir, pool = settings->id](const std::string& name, const std::string& from,
                                             const std::string& program) -> Result<void> {
    const auto member = identity::parse_member_text(name, pool);
    if (!member) return Error{fmt::format("\"{}\" is no member of this pool.", name)};
    // Read each time: a policy counts from the moment in which it is written. One that cannot be read allows nothing.
    const auto policy = identity::read_policy(dir);
    const auto may =
        policy ? identity::allowed(*policy, *member, {})
               : Result<void>(Error{"The server's policy cannot be read, so nobody is let in. Tell whoever keeps it."});
    if (!policy) log::error(policy.error().message);
    identity::AuditEvent event = {
        .what = "session", .who = member->text(), .from = from, .more = {{"program", program}}};
    if (!may) {
      event.what = "refused";
      event.more.emplace_back("why", may.error().message);
    }
    const auto noted = identity::AuditLog(dir.audit()).write(event, ::time(nullptr), false);
    if (!noted) log::error(noted.error().message);
    if (!may) return may.error();
    if (!noted)
      return Error{"The server cannot write its audit log and grants nothing new until it can. Tell whoever keeps it."};
    return {};
  };
  return {};
}

}  // namespace nm::cmd
