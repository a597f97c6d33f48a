// The bytes of questions and answers: enrolment.h has their form.
#include <fmt/format.h>
#include <string.h>

#include <algorithm>

#include "identity/certificate.h"
#include "identity/enrolment.h"

namespace nm::identity {
namespace {

constexpr std::string_view kQuestionMagic = "nmen", kAnswerMagic = "nmea";

uint32_t number_at(std::string_view bytes, size_t at) {
  uint32_t out = 0;
  for (size_t i = 0; i < 4; i++) out |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[at + i])) << (8 * i);
  return out;
}

std::string number(uint64_t value, size_t size) {
  std::string out;
  for (size_t i = 0; i < size; i++) out += static_cast<char>(value >> (8 * i));
  return out;
}

std::string frame(std::string_view magic, uint32_t word, const std::string& body) {
  return std::string(magic) + number(word, 4) + number(body.size(), 4) + body;
}

}  // namespace

size_t QuestionReader::wanted() const {
  if (received_.size() < kFrameHead) return kFrameHead - received_.size();
  return kFrameHead + number_at(received_, 8) - received_.size();
}

QuestionReader::State QuestionReader::refuse(std::string sentence) {
  refusal_ = std::move(sentence);
  return State::refused;
}

QuestionReader::State QuestionReader::feed(std::string_view bytes) {
  received_ += bytes;
  if (received_.size() < kFrameHead) return State::need_more;
  if (!received_.starts_with(kQuestionMagic)) return refuse("It is no question of nearmetal's.");
  const uint32_t operation = number_at(received_, 4), size = number_at(received_, 8);
  if (operation < 1 || operation > 3) return refuse("It asks for something that this release does not know.");
  if (size > kMaxQuestion) return refuse(fmt::format("It announces {} bytes; no question has that many.", size));
  question_.operation = static_cast<Operation>(operation);
  if (received_.size() < kFrameHead + size) return State::need_more;
  return read_body();
}

QuestionReader::State QuestionReader::read_body() {
  const std::string_view body = std::string_view(received_).substr(kFrameHead);
  switch (question_.operation) {
    case Operation::join:
      if (body.size() <= kSecretSize || body.size() > kSecretSize + kMaxRequest) break;
      question_.secret = body.substr(0, kSecretSize);
      question_.request = body.substr(kSecretSize);
      return State::complete;
    case Operation::renew:
      if (body.empty() || body.size() > kMaxRequest) break;
      question_.request = body;
      return State::complete;
    case Operation::revocations:
      if (body.size() != 8) break;
      question_.version = number_at(body, 0) | static_cast<uint64_t>(number_at(body, 4)) << 32;
      return State::complete;
  }
  return refuse("Its body has not the size that its operation needs.");
}

std::string encode_question(const Question& question) {
  const bool asks = question.operation == Operation::revocations;
  return frame(kQuestionMagic, static_cast<uint32_t>(question.operation),
               asks ? number(question.version, 8) : question.secret + question.request);
}

std::string encode_answer(bool good, const std::vector<std::string>& texts) {
  if (!good) return frame(kAnswerMagic, 1, texts.at(0));
  std::string body;
  for (const std::string& text : texts) body += number(text.size(), 4) + text;
  return frame(kAnswerMagic, 0, body);
}

std::optional<uint32_t> answer_size(std::string_view head) {
  if (head.size() != kFrameHead || !head.starts_with(kAnswerMagic)) return {};
  if (number_at(head, 4) > 1 || number_at(head, 8) > kMaxAnswer) return {};
  return number_at(head, 8);
}

Result<std::vector<std::string>> decode_answer(std::string_view head, std::string_view body, size_t texts) {
  const Error broken = {"The pool's authority answered something that is no answer. Check the address."};
  const auto size = answer_size(head);
  if (!size || *size != body.size()) return broken;
  if (number_at(head, 4) == 1) {
    std::string sentence(body.substr(0, 1000));
    for (char& c : sentence) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';  // it goes to a terminal
    }
    return Error{sentence};
  }
  std::vector<std::string> out;
  while (!body.empty()) {
    if (body.size() < 4 || number_at(body, 0) > body.size() - 4 || out.size() == texts) return broken;
    const uint32_t length = number_at(body, 0);
    out.emplace_back(body.substr(4, length));
    body.remove_prefix(4 + length);
  }
  if (out.size() != texts) return broken;
  return out;
}

}  // namespace nm::identity
