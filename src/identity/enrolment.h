// How a certificate is got: one question and one answer over an encrypted connection (tls.h: nearmetal-join/1 and
// nearmetal-member/1). What a newcomer sends is read before it is known who it is, so the form is small and rigid:
//
//   question   "nmen" | operation u32 | size u32 | body of `size` bytes, at most kMaxQuestion; numbers little-endian
//     join         the token's secret (16 bytes), then a request for a certificate (DER)
//     renew        a request for a certificate (DER)
//     revocations  the version that the member has, u64
//   answer     "nmea" | status u32 (0: good) | size u32 | body, at most kMaxAnswer
//     status 1     a sentence
//     join, renew  four texts, each u32 size and bytes: the certificate, the authority's, pool.toml, the revocations
//     revocations  one text; empty: there is nothing newer
#pragma once

#include <cstdint>
#include <ctime>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "identity/invites.h"
#include "identity/member.h"
#include "identity/pool_dir.h"

namespace nm::identity {

enum class Operation : uint32_t { join = 1, renew = 2, revocations = 3 };

inline constexpr size_t kFrameHead = 12;
inline constexpr uint32_t kMaxQuestion = 4096;
inline constexpr uint32_t kMaxAnswer = 8 << 20;

struct Question {
  Operation operation = Operation::join;
  std::string secret;    // join
  std::string request;   // join, renew: DER
  uint64_t version = 0;  // revocations
};

// From bytes as they come. feed() takes no more than wanted() at a time: never more than the question has.
class QuestionReader {
 public:
  enum class State { need_more, complete, refused };
  size_t wanted() const;
  State feed(std::string_view bytes);
  const Question& question() const { return question_; }
  const std::string& refusal() const { return refusal_; }

 private:
  State refuse(std::string sentence);
  State read_body();
  std::string received_;
  Question question_;
  std::string refusal_;
};

std::string encode_question(const Question& question);
std::string encode_answer(bool good, const std::vector<std::string>& texts);
// The size of an answer's body, from its first kFrameHead bytes; nothing where it is no answer.
std::optional<uint32_t> answer_size(std::string_view head);
// The error is the authority's sentence, or ours about what it sent.
Result<std::vector<std::string>> decode_answer(std::string_view head, std::string_view body, size_t texts);

// --- the authority's side

// The answer to one question. `peer`: who has proved to ask; nothing: nobody. Notes what it does in roster and audit
// log.
std::string answer(const PoolDir& dir, const Question& question, const std::optional<Member>& peer,
                   const std::string& from, time_t now);
// Reads a question from a socket, answers it and is done, within `limit`.
void serve_one(int socket, const PoolDir& dir, const std::optional<Member>& peer, const std::string& from,
               Millis limit);

// --- the member's side

// Becomes what the token lets one become. Nothing in `dir` is overwritten but the certificate of the same role and
// name.
Result<Member> join(const PoolDir& dir, const Token& token, Millis limit);

struct Freshness {
  bool renewed = false;  // there is a new certificate
  bool revocations_changed = false;
};
// Renews the certificate if two thirds of its time are over, and looks for newer revocations.
Result<Freshness> keep_fresh(const PoolDir& dir, Role role, time_t now, Millis limit);
bool is_due(const PoolDir& dir, Role role, time_t now);

// --- what both the command line and the above do on the authority's host

// A certificate from the authority at hand, noted and with its key kept in `dir`.
Result<void> issue_here(const PoolDir& dir, const Member& member, time_t now);
// Revokes what `name` holds. The result: how many certificates. The error says whom it was meant for.
Result<size_t> revoke(const PoolDir& dir, const std::string& name, const std::string& by, time_t now);

}  // namespace nm::identity
