// What is read of a newcomer before it is known who it is: its question, whole and in pieces, and the request for a
// certificate in it. And what people type or a stranger answers: tokens, names, answers.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <algorithm>
#include <string_view>

#include "identity/certificate.h"
#include "identity/enrolment.h"

namespace {

using namespace nm::identity;

QuestionReader::State feed(QuestionReader& reader, std::string_view bytes, size_t piece) {
  auto state = QuestionReader::State::need_more;
  while (!bytes.empty() && state == QuestionReader::State::need_more) {
    const size_t some = std::min({piece, reader.wanted(), bytes.size()});
    if (some == 0) abort();  // it wants more and says of nothing how much
    state = reader.feed(bytes.substr(0, some));
    bytes.remove_prefix(some);
  }
  return state;
}

void read_question(std::string_view bytes) {
  QuestionReader whole, pieces;
  const auto a = feed(whole, bytes, bytes.size()), b = feed(pieces, bytes, 5);
  if (a != b || whole.refusal() != pieces.refusal()) abort();
  if (a == QuestionReader::State::refused && whole.refusal().empty()) abort();
  if (a == QuestionReader::State::need_more && bytes.size() > kFrameHead + kMaxQuestion) abort();
  if (a != QuestionReader::State::complete) return;
  const Question& question = whole.question();
  if (question.operation == Operation::join && question.secret.size() != kSecretSize) abort();
  if (!bytes.starts_with(encode_question(question))) abort();
  if (const auto key = check_request(question.request); !key && key.error().message.empty()) abort();
}

void read_answer(std::string_view bytes) {
  if (bytes.size() < kFrameHead) return;
  const auto head = bytes.substr(0, kFrameHead), body = bytes.substr(kFrameHead);
  for (const size_t texts : {1, 4}) {
    const auto read = decode_answer(head, body, texts);
    if (read && (read->size() != texts || encode_answer(true, *read) != bytes)) abort();
    if (read) continue;
    for (const char c : read.error().message) {
      if (static_cast<unsigned char>(c) < 0x20) abort();
    }
  }
}

void read_text(std::string_view text) {
  if (const auto token = parse_token(text); token && token->text() != text) abort();
  if (const auto member = parse_member(text); member && member->uri() != text) abort();
  if (const auto member = parse_member_text(text, "0123456789abcdef"); member && member->text() != text) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  read_question(bytes);
  read_answer(bytes);
  read_text(bytes);
  [[maybe_unused]] const auto request = check_request(bytes.substr(0, kMaxRequest));
  return 0;
}
