// The authority's side of enrolment: what is asked for is checked, noted, and only then given.
#include <errno.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

#include "identity/audit.h"
#include "identity/authority.h"
#include "identity/enrolment.h"
#include "identity/files.h"
#include "identity/revocations.h"
#include "identity/roster.h"

namespace nm::identity {
namespace {

time_t lifetime(const PoolSettings& settings, Role role) {
  return (role == Role::host ? settings.host_hours : settings.user_hours) * 3600;
}

// One certificate, in roster and audit log before anybody has it. The caller holds the directory's lock.
Result<Certificate> issue(const PoolDir& dir, const Authority& authority, const PoolSettings& settings, EVP_PKEY* key,
                          const Member& member, const char* why, const std::string& from, time_t now) {
  auto certificate = authority.issue(key, member, lifetime(settings, member.role), now);
  if (!certificate) return certificate.error();
  if (auto noted = note_issued(dir, *certificate, member, now); !noted) return noted.error();
  const AuditEvent event = {
      .what = why, .who = member.text(), .from = from, .more = {{"serial", certificate->serial()}}};
  if (auto noted = AuditLog(dir.audit()).write(event, now, true); !noted) return noted.error();
  return certificate;
}

std::string revocations_text(const PoolDir& dir) {
  const auto text = read_file(dir.revoked());
  return text ? *text : "";
}

// Whether the last certificate that `member` got was revoked: then it is not for a machine to give it another one.
Result<bool> is_revoked(const PoolDir& dir, const Authority& authority, const Member& member) {
  const auto list = Revocations::read(dir, authority.certificate(), member.pool);
  if (!list) return list.error();
  const auto issued = read_issued(dir);
  if (!issued) return issued.error();
  const auto last = std::find_if(issued->rbegin(), issued->rend(),
                                 [&](const Issued& one) { return one.role == member.role && one.name == member.name; });
  return last != issued->rend() && list->has(last->serial);
}

Result<std::vector<std::string>> give_certificate(const PoolDir& dir, const Question& question,
                                                  const std::optional<Member>& peer, const std::string& from,
                                                  time_t now) {
  // Before the token is looked at: a request that cannot be granted must not use it up.
  const auto key = check_request(question.request);
  if (!key) return key.error();
  const auto settings = read_settings(dir);
  if (!settings) return settings.error();
  const auto authority = Authority::open(dir);
  if (!authority) return Error{"This host does not have the pool's authority. Call the host where the pool was made."};
  const auto lock = lock_directory(dir.path);
  if (!lock) return lock.error();

  const bool joins = question.operation == Operation::join;
  Member member;
  if (joins) {
    const auto invite = Invites(dir).redeem(question.secret, now);
    if (!invite) return invite.error();
    member = {.pool = settings->id, .role = invite->role, .name = invite->name};
  } else {
    if (!peer) return Error{"A certificate is renewed for who shows the old one."};
    member = *peer;
    const auto revoked = is_revoked(dir, *authority, member);
    if (!revoked) return revoked.error();
    if (*revoked) return Error{fmt::format("The certificate of {} was revoked. Ask for a new token.", member.text())};
  }
  const auto certificate = issue(dir, *authority, *settings, key->get(), member, joins ? "join" : "renew", from, now);
  if (!certificate) {
    if (joins) Invites(dir).restore(question.secret);
    return certificate.error();
  }
  return std::vector<std::string>{certificate->pem(), authority->certificate().pem(), settings_text(*settings),
                                  revocations_text(dir)};
}

Result<std::vector<std::string>> give_revocations(const PoolDir& dir, const Question& question,
                                                  const std::optional<Member>& peer) {
  if (!peer) return Error{"The list of revoked certificates is for members."};
  const auto settings = read_settings(dir);
  if (!settings) return settings.error();
  const auto authority = Certificate::read(dir.authority_certificate());
  if (!authority) return authority.error();
  const auto list = Revocations::read(dir, *authority, settings->id);
  if (!list) return list.error();
  return std::vector<std::string>{list->version() > question.version ? revocations_text(dir) : ""};
}

}  // namespace

std::string answer(const PoolDir& dir, const Question& question, const std::optional<Member>& peer,
                   const std::string& from, time_t now) {
  const auto given = question.operation == Operation::revocations ? give_revocations(dir, question, peer)
                                                                  : give_certificate(dir, question, peer, from, now);
  if (given) return encode_answer(true, *given);
  if (question.operation != Operation::revocations) {
    // As well as can be: who was refused got nothing that would have to be accounted for.
    [[maybe_unused]] const auto noted = AuditLog(dir.audit())
                                            .write({.what = "refused",
                                                    .who = peer ? peer->text() : "",
                                                    .from = from,
                                                    .more = {{"why", given.error().message}}},
                                                   now, false);
  }
  return encode_answer(false, {given.error().message});
}

void serve_one(int socket, const PoolDir& dir, const std::optional<Member>& peer, const std::string& from,
               Millis limit) {
  const TimePoint deadline = Clock::now() + limit;
  const auto ready = [&](short events) {
    pollfd p = {.fd = socket, .events = events, .revents = 0};
    return ::poll(&p, 1, static_cast<int>(time_left(deadline).count())) != 0;
  };
  QuestionReader reader;
  auto state = QuestionReader::State::need_more;
  while (state == QuestionReader::State::need_more) {
    char bytes[1024];
    if (!ready(POLLIN)) return;
    const ssize_t got = ::recv(socket, bytes, std::min(reader.wanted(), sizeof bytes), MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return;
    state = reader.feed({bytes, static_cast<size_t>(got)});
  }
  const bool complete = state == QuestionReader::State::complete;
  const std::string out =
      complete ? answer(dir, reader.question(), peer, from, ::time(nullptr)) : encode_answer(false, {reader.refusal()});
  for (size_t at = 0; at < out.size();) {
    if (!ready(POLLOUT)) return;
    const ssize_t sent = ::send(socket, out.data() + at, out.size() - at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (sent <= 0) return;
    at += static_cast<size_t>(sent);
  }
  ::shutdown(socket, SHUT_WR);
}

Result<void> issue_here(const PoolDir& dir, const Member& member, time_t now) {
  const auto settings = read_settings(dir);
  if (!settings) return settings.error();
  const auto authority = Authority::open(dir);
  if (!authority) return authority.error();
  const auto lock = lock_directory(dir.path);
  if (!lock) return lock.error();
  // A key that is there goes on: so certificate and key belong together at every moment.
  const bool has_key = exists(dir.key(member.role));
  auto key = has_key ? PrivateKey::read(dir.key(member.role)) : PrivateKey::make();
  if (!key) return key.error();
  const auto certificate =
      issue(dir, *authority, *settings, key->get(), member, has_key ? "renew" : "join", "this host", now);
  if (!certificate) return certificate.error();
  if (!has_key) {
    const auto pem = key->pem();
    if (!pem) return pem.error();
    if (auto kept = write_new(dir.key(member.role), *pem, 0600); !kept) return kept.error();
  }
  return replace_file(dir.certificate(member.role), certificate->pem(), 0644);
}

Result<size_t> revoke(const PoolDir& dir, const std::string& name, const std::string& by, time_t now) {
  const auto settings = read_settings(dir);
  if (!settings) return settings.error();
  const auto authority = Authority::open(dir);
  if (!authority) return authority.error();
  const auto lock = lock_directory(dir.path);
  if (!lock) return lock.error();
  const auto issued = read_issued(dir);
  if (!issued) return issued.error();
  auto list = Revocations::read(dir, authority->certificate(), settings->id);
  if (!list) return list.error();
  size_t count = 0;
  bool known = false;
  for (const Issued& one : *issued) {
    if (one.name != name) continue;
    known = true;
    if (one.until + kClockSkew < now || list->has(one.serial)) continue;
    list->add({.serial = one.serial, .until = one.until, .member = fmt::format("{}/{}", text_of(one.role), one.name)});
    count++;
  }
  if (!known) {
    return Error{
        fmt::format("The pool has issued no certificate to \"{}\". `nearmetal pool members` lists those who have "
                    "one.",
                    name)};
  }
  if (count == 0) return count;
  // The log first: that it was done must be known if it counts.
  if (auto noted = AuditLog(dir.audit())
                       .write({.what = "revoke", .who = by, .from = "this host", .more = {{"name", name}}}, now, true);
      !noted) {
    return noted.error();
  }
  const auto text = list->sign_next(*authority, now);
  if (!text) return text.error();
  if (auto kept = replace_file(dir.revoked(), *text, 0644); !kept) return kept.error();
  return count;
}

}  // namespace nm::identity
