// The member's side of enrolment: joining with a token, and staying a member.
#include <fmt/format.h>

#include "identity/authority.h"
#include "identity/connection.h"
#include "identity/enrolment.h"
#include "identity/files.h"
#include "identity/revocations.h"

namespace nm::identity {
namespace {

Result<std::vector<std::string>> ask(TlsConnection& connection, const Question& question, size_t texts,
                                     TimePoint deadline) {
  const auto failed = [&] {
    return Error{fmt::format("The pool's authority did not answer: {}.", connection.failure())};
  };
  if (!connection.send(encode_question(question), deadline)) return failed();
  std::string head(kFrameHead, '\0');
  if (!connection.receive(head.data(), head.size(), deadline)) return failed();
  const auto size = answer_size(head);
  std::string body(size.value_or(0), '\0');
  if (size && !connection.receive(body.data(), body.size(), deadline)) return failed();
  return decode_answer(head, body, texts);
}

Result<wire::Address> authority_at(const std::string& host_and_port) {
  return wire::parse_address("tls:" + host_and_port);
}

// What the authority gave is what was asked for: it belongs to our key, names a member of this pool and is signed by
// it.
Result<Member> check(const Certificate& certificate, const Certificate& authority, const PrivateKey& key,
                     const std::string& pool) {
  auto member = certificate.member();
  if (!member) return member.error();
  if (member->pool != pool || X509_check_private_key(certificate.get(), key.get()) != 1 ||
      X509_verify(certificate.get(), X509_get0_pubkey(authority.get())) != 1) {
    openssl_reason();
    return Error{"The pool's authority gave a certificate that is not its own or not for this key. Join again."};
  }
  return member;
}

// A newer list than the one at hand. False: it is none.
Result<bool> keep_revocations(const PoolDir& dir, const std::string& text, const Certificate& authority,
                              const std::string& pool) {
  if (text.empty()) return false;
  const auto list = Revocations::parse(text, authority, pool);
  if (!list) return list.error();
  const auto mine = Revocations::read(dir, authority, pool);
  if (mine && mine->version() >= list->version()) return false;
  if (auto kept = replace_file(dir.revoked(), text, 0644); !kept) return kept.error();
  return true;
}

// Somebody else's pool is not joined over: one directory, one pool.
Result<void> check_free(const PoolDir& dir, const Hash& authority) {
  if (!exists(dir.authority_certificate())) return {};
  const auto there = Certificate::read(dir.authority_certificate());
  if (there && there->fingerprint() == authority) return {};
  return Error{
      fmt::format("{} belongs to another pool. Choose another directory with --dir, or remove it if that pool is "
                  "no more.",
                  dir.path)};
}

}  // namespace

Result<Member> join(const PoolDir& dir, const Token& token, Millis limit) {
  const TimePoint deadline = Clock::now() + limit;
  const auto address = authority_at(token.address);
  if (!address) return Error{"The token: " + address.error().message};
  // What can go wrong here must not cost the token.
  if (auto made = make_private_directory(dir.path, 0755); !made) return made.error();
  if (auto free = check_free(dir, token.authority); !free) return free.error();
  const auto key = PrivateKey::make();
  if (!key) return key.error();
  const auto key_pem = key->pem();
  if (!key_pem) return key_pem.error();
  const auto request = make_request(*key);
  if (!request) return request.error();
  const std::string trial = dir.path + "/.joining";
  if (auto room = replace_file(trial, *key_pem, 0600); !room) return room.error();
  ::unlink(trial.c_str());

  const auto context = join_context(token.authority);
  if (!context) return context.error();
  auto connection = TlsConnection::open(context->get(), *address, "", deadline);
  if (!connection) return connection.error();
  const auto authority = shown_authority(connection->ssl(), token.authority);
  if (!authority) return authority.error();
  const auto texts =
      ask(*connection, {.operation = Operation::join, .secret = token.secret, .request = *request}, 4, deadline);
  if (!texts) return texts.error();

  const auto certificate = Certificate::parse(texts->at(0), "The authority's answer");
  if (!certificate) return certificate.error();
  const auto settings = parse_settings(texts->at(2), "The authority's answer");
  if (!settings) return settings.error();
  const auto member = check(*certificate, *authority, *key, settings->id);
  if (!member) return member.error();
  if (auto kept = replace_file(dir.settings(), settings_text(*settings), 0644); !kept) return kept.error();
  if (auto kept = replace_file(dir.authority_certificate(), authority->pem(), 0644); !kept) return kept.error();
  if (auto kept = replace_file(dir.key(member->role), *key_pem, 0600); !kept) return kept.error();
  if (auto kept = replace_file(dir.certificate(member->role), certificate->pem(), 0644); !kept) return kept.error();
  if (auto kept = keep_revocations(dir, texts->at(3), *authority, settings->id); !kept) return kept.error();
  return member;
}

bool is_due(const PoolDir& dir, Role role, time_t now) {
  const auto certificate = Certificate::read(dir.certificate(role));
  if (!certificate) return false;
  const time_t from = certificate->not_before(), until = certificate->not_after();
  return now >= from + (until - from) / 3 * 2;
}

Result<Freshness> keep_fresh(const PoolDir& dir, Role role, time_t now, Millis limit) {
  const TimePoint deadline = Clock::now() + limit;
  const auto settings = read_settings(dir);
  if (!settings) return settings.error();
  const auto old = Certificate::read(dir.certificate(role));
  if (!old) return old.error();
  const auto member = old->member();
  if (!member) return member.error();
  const bool due = is_due(dir, role, now);
  Freshness out;
  if (dir.is_authority()) {
    if (!due) return out;
    if (auto issued = issue_here(dir, *member, now); !issued) return issued.error();
    out.renewed = true;
    return out;
  }
  const auto address = authority_at(settings->address);
  if (!address) return Error{dir.settings() + ": " + address.error().message};
  const auto authority = Certificate::read(dir.authority_certificate());
  if (!authority) return authority.error();
  const auto key = PrivateKey::read(dir.key(role));
  if (!key) return key.error();
  const auto context = member_context(dir, role, kAlpnMember);
  if (!context) return context.error();
  auto connection = TlsConnection::open(context->get(), *address, settings->id, deadline);
  if (!connection) return connection.error();

  std::string revocations;
  if (due) {
    const auto request = make_request(*key);
    if (!request) return request.error();
    const auto texts =
        ask(*connection, {.operation = Operation::renew, .secret = {}, .request = *request}, 4, deadline);
    if (!texts) return texts.error();
    const auto certificate = Certificate::parse(texts->at(0), "The authority's answer");
    if (!certificate) return certificate.error();
    const auto renewed = check(*certificate, *authority, *key, settings->id);
    if (!renewed) return renewed.error();
    if (!(*renewed == *member)) return Error{"The pool's authority gave a certificate for somebody else. Join again."};
    if (auto kept = replace_file(dir.certificate(role), certificate->pem(), 0644); !kept) return kept.error();
    out.renewed = true;
    revocations = texts->at(3);
  } else {
    const auto mine = Revocations::read(dir, *authority, settings->id);
    const Question question = {.operation = Operation::revocations, .version = mine ? mine->version() : 0};
    const auto texts = ask(*connection, question, 1, deadline);
    if (!texts) return texts.error();
    revocations = texts->at(0);
  }
  const auto changed = keep_revocations(dir, revocations, *authority, settings->id);
  if (!changed) return changed.error();
  out.revocations_changed = *changed;
  return out;
}

}  // namespace nm::identity
