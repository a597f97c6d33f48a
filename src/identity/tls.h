// TLS as the pool speaks it: 1.3 and nothing before it, both ends with a certificate of the pool, no session is ever
// resumed, nothing travels early. What a connection is for is said in ALPN, so a client of another kind of service, or
// a browser that was led here, gets no further than its first message.
//
//   nearmetal/1          a connection of a session: after the handshake an Admission, then bytes go through as they are
//   nearmetal-member/1   a member that wants its certificate renewed, or the list of revocations (enrolment.h)
//   nearmetal-join/1     a newcomer with a token: the only one that need not show a certificate
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "identity/certificate.h"
#include "identity/openssl.h"
#include "identity/pool_dir.h"

namespace nm::identity {

inline constexpr std::string_view kAlpnSession = "nearmetal/1";
inline constexpr std::string_view kAlpnMember = "nearmetal-member/1";
inline constexpr std::string_view kAlpnJoin = "nearmetal-join/1";

// For a host of the pool. Whoever comes must show a certificate of the pool, except under kAlpnJoin.
Result<ContextPtr> server_context(const PoolDir& dir);
// For a member; the server must show a host's certificate of the same pool.
Result<ContextPtr> member_context(const PoolDir& dir, Role role, std::string_view alpn);
// For a newcomer, who has but a fingerprint: the server must show a host's certificate, and behind it the authority's
// own, which has that fingerprint.
Result<ContextPtr> join_context(const Hash& authority);

std::string_view alpn_of(SSL* ssl);
// Who is at the other end, after the handshake. The role must be the one expected of it.
Result<Member> peer_of(SSL* ssl, const std::string& pool);

// Why a handshake failed, from OpenSSL's queue and the socket's errno: a sentence that begins with what was wrong, for
// the side that sees it. `client`: the words are for somebody at a keyboard.
std::string handshake_failure(SSL* ssl, bool client);

// The authority's certificate that a server showed, after a handshake under join_context().
Result<Certificate> shown_authority(SSL* ssl, const Hash& fingerprint);

// What the server says first on a connection of a session. TLS 1.3 tells a client nothing about whether its certificate
// was good; this does, in a sentence where it was not.
struct Admission {
  char magic[8] = {'n', 'm', 'a', 'd', 'm', 'i', 't', '1'};
  uint32_t admitted = 0;  // one of:
  static constexpr uint32_t kRefused = 0, kAdmitted = 1;
  // The server's kernel has its keys from here on. A kernel does not take new keys on the way (before Linux 6.14), so
  // the client must not change its own; and only now may it give them to its kernel, for else the server changes them.
  static constexpr uint32_t kAdmittedByKernel = 2;
  uint32_t size = 0;  // of the sentence that follows, at most kMaxSentence
};
static_assert(sizeof(Admission) == 16);
inline constexpr uint32_t kMaxSentence = 1000;
std::string encode_admission(uint32_t admitted, std::string_view sentence);

}  // namespace nm::identity
