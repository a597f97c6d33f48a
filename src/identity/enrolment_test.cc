// Joining, renewing and hearing of revocations: newcomer, gate and authority together.
#include "identity/enrolment.h"

#include <gtest/gtest.h>

#include "identity/revocations.h"
#include "identity/roster.h"
#include "identity/test_gate.h"

namespace nm::identity {
namespace {

class EnrolmentTest : public GateTest {
 protected:
  // The daemon's part: every handover for an enrolment is answered, as nearmetald --enrol does.
  void start_authority() {
    start();
    const auto settings = settings_text({.id = "0123456789abcdef", .address = address().text().substr(4)});
    ASSERT_TRUE(replace_file(pool_.dir().settings(), settings, 0644));
    desk_ = std::thread([this] {
      wire::Handover handover;
      Fd fd;
      while (!over_) {
        if (!wire::receive_handover(daemon_.get(), Millis(50), &handover, &fd)) continue;
        const auto peer = parse_member_text(wire::text_in(handover.peer), "0123456789abcdef");
        serve_one(fd.get(), pool_.dir(), peer, "a test", Millis(60'000));
        fd.reset();
      }
    });
  }
  ~EnrolmentTest() override {
    over_ = true;
    if (desk_.joinable()) desk_.join();
  }
  Token invite(Role role, const std::string& name, time_t expires = ::time(nullptr) + kHour) {
    return {.secret = *Invites(pool_.dir()).add({.role = role, .name = name, .expires = expires}, ::time(nullptr)),
            .authority = pool_.authority().certificate().fingerprint(),
            .address = address().text().substr(4)};
  }
  PoolDir place(const std::string& name) { return {pool_.dir().path + "/" + name}; }
  std::string join_(const PoolDir& dir, const Token& token) {
    const auto member = join(dir, token, Millis(60'000));
    return member ? member->text() : member.error().message;
  }
  std::atomic<bool> over_ = false;
  std::thread desk_;
};

TEST_F(EnrolmentTest, ATokenGetsACertificateForTheNameThatItWasMadeFor) {
  start_authority();
  const PoolDir bob = place("bob");
  ASSERT_EQ(join_(bob, invite(Role::user, "bob")), "user bob");
  EXPECT_EQ(*Certificate::read(bob.certificate(Role::user))->member(), pool_.member(Role::user, "bob"));
  EXPECT_TRUE(PrivateKey::read(bob.key(Role::user)));
  EXPECT_FALSE(bob.is_authority());
  ASSERT_EQ(join_(bob, invite(Role::host, "gpu2")), "host gpu2") << "one machine may be both";
  EXPECT_EQ(read_issued(pool_.dir())->back().name, "gpu2");
  EXPECT_PRED2(holds, *read_file(pool_.dir().audit()), "\"event\":\"join\",\"who\":\"user bob\"");
}

TEST_F(EnrolmentTest, ATokenCountsOnce) {
  start_authority();
  const Token token = invite(Role::user, "bob");
  ASSERT_EQ(join_(place("bob"), token), "user bob");
  EXPECT_PRED2(holds, join_(place("eve"), token), "The token has been used");
  EXPECT_FALSE(place("eve").has(Role::user));
  EXPECT_PRED2(holds, *read_file(pool_.dir().audit()), "\"event\":\"refused\"");
}

TEST_F(EnrolmentTest, AnExpiredTokenAndAnUnknownOneGetNothing) {
  start_authority();
  EXPECT_PRED2(holds, join_(place("bob"), invite(Role::user, "bob", ::time(nullptr) - 1)), "time is over");
  Token token = invite(Role::user, "bob");
  token.secret = std::string(kSecretSize, 'x');
  EXPECT_PRED2(holds, join_(place("bob"), token), "knows no such token");
}

TEST_F(EnrolmentTest, ADirectoryOfAnotherPoolIsNotJoinedOverAndTheTokenRemains) {
  start_authority();
  TestPool other;
  const Token token = invite(Role::user, "bob");
  EXPECT_PRED2(holds, join_(other.dir(), token), "belongs to another pool");
  EXPECT_EQ(join_(place("bob"), token), "user bob");
}

TEST_F(EnrolmentTest, ATokenIsNotUsedUpByACertificateThatCannotBeNoted) {
  start_authority();
  const Token token = invite(Role::user, "bob");
  std::filesystem::remove(pool_.dir().audit());
  std::filesystem::create_directory(pool_.dir().audit());
  EXPECT_NE(join_(place("bob"), token), "user bob");
  std::filesystem::remove(pool_.dir().audit());
  EXPECT_EQ(join_(place("bob"), token), "user bob");
}

TEST_F(EnrolmentTest, ACertificateIsRenewedWhenTwoThirdsOfItsTimeAreOver) {
  start_authority();
  const time_t now = ::time(nullptr);
  const PoolDir young = pool_.directory_of(pool_.member(Role::host, "gpu2"), now - 10 * kHour);
  const PoolDir old = pool_.directory_of(pool_.member(Role::host, "gpu3"), now - 20 * kHour);
  for (const PoolDir& dir : {young, old}) {
    ASSERT_TRUE(replace_file(dir.settings(), *read_file(pool_.dir().settings()), 0644));
  }
  const auto a = keep_fresh(young, Role::host, now, Millis(60'000)),
             b = keep_fresh(old, Role::host, now, Millis(60'000));
  ASSERT_TRUE(a) << a.error().message;
  ASSERT_TRUE(b) << b.error().message;
  EXPECT_FALSE(a->renewed);
  EXPECT_TRUE(b->renewed);
  EXPECT_GE(Certificate::read(old.certificate(Role::host))->not_after(), now + 24 * kHour);
  EXPECT_EQ(Certificate::read(old.certificate(Role::host))->member()->name, "gpu3");
  EXPECT_TRUE(member_context(old, Role::host, kAlpnSession)) << "key and certificate belong together";
}

TEST_F(EnrolmentTest, MembersHearOfRevocationsAndNeverGoBackToAnOlderList) {
  start_authority();
  const PoolDir gpu2 = place("gpu2");
  ASSERT_EQ(join_(gpu2, invite(Role::host, "gpu2")), "host gpu2");
  const time_t now = ::time(nullptr);
  ASSERT_TRUE(revoke(pool_.dir(), "alice", "a test", now));
  ASSERT_TRUE(keep_fresh(gpu2, Role::host, now, Millis(60'000))->revocations_changed);
  EXPECT_FALSE(keep_fresh(gpu2, Role::host, now, Millis(60'000))->revocations_changed);
  const std::string newest = *read_file(gpu2.revoked());
  EXPECT_EQ(newest, *read_file(pool_.dir().revoked()));
  std::filesystem::remove(pool_.dir().revoked());  // as an authority put back from an old backup
  EXPECT_TRUE(keep_fresh(gpu2, Role::host, now, Millis(60'000)));
  EXPECT_EQ(*read_file(gpu2.revoked()), newest);
}

TEST_F(EnrolmentTest, ARevokedMemberIsNotRenewedButMayBeInvitedAgain) {
  const PoolDir dir = pool_.dir();
  const time_t now = ::time(nullptr);
  ASSERT_TRUE(revoke(dir, "alice", "a test", now));
  const auto request = make_request(*PrivateKey::make());
  const Question question = {.operation = Operation::renew, .secret = {}, .request = *request};
  const std::string refused = answer(dir, question, pool_.member(Role::user), "a test", now);
  EXPECT_PRED2(holds, refused, "was revoked. Ask for a new token");
  start_authority();
  EXPECT_EQ(join_(place("alice"), invite(Role::user, "alice")), "user alice");
  EXPECT_EQ(refusal(place("alice")), "admitted");
}

TEST_F(EnrolmentTest, WhoShowsNoCertificateGetsNothingButByToken) {
  const auto request = make_request(*PrivateKey::make());
  const auto ask = [&](Question question) { return answer(pool_.dir(), question, {}, "a test", ::time(nullptr)); };
  EXPECT_PRED2(holds, ask({.operation = Operation::renew, .secret = {}, .request = *request}), "who shows the old one");
  EXPECT_PRED2(holds, ask({.operation = Operation::revocations}), "is for members");
}

TEST(Question, IsReadInPiecesAndNeverBeyondItsEnd) {
  const Question sent = {.operation = Operation::join, .secret = std::string(kSecretSize, 's'), .request = "request"};
  const std::string bytes = encode_question(sent);
  QuestionReader reader;
  for (size_t i = 0; i + 1 < bytes.size(); i++) {
    ASSERT_GT(reader.wanted(), 0u);
    ASSERT_LE(reader.wanted(), bytes.size() - i);
    ASSERT_EQ(reader.feed(bytes.substr(i, 1)), QuestionReader::State::need_more);
  }
  ASSERT_EQ(reader.wanted(), 1u);
  ASSERT_EQ(reader.feed(bytes.substr(bytes.size() - 1)), QuestionReader::State::complete);
  EXPECT_EQ(reader.question().secret, sent.secret);
  EXPECT_EQ(reader.question().request, sent.request);
}

TEST(Question, OfImpossibleFormIsRefusedBeforeItsBodyIsRead) {
  const auto read = [](std::string bytes) {
    QuestionReader reader;
    return reader.feed(bytes);
  };
  const std::string good = encode_question({.operation = Operation::revocations, .version = 7});
  EXPECT_EQ(read(good), QuestionReader::State::complete);
  EXPECT_EQ(read("GET / HTTP/1.1\r\n"), QuestionReader::State::refused);
  EXPECT_EQ(read(std::string("nmen\x09\0\0\0\0\0\0\0", 12)), QuestionReader::State::refused);
  EXPECT_EQ(read(std::string("nmen\x01\0\0\0\xff\xff\xff\xff", 12)), QuestionReader::State::refused);
  EXPECT_EQ(read(std::string("nmen\x03\0\0\0\x01\0\0\0x", 13)), QuestionReader::State::refused);
}

TEST(Answer, IsReadBackAndALieAboutSizesIsNoticed) {
  const std::string bytes = encode_answer(true, {"a", "", "ccc"});
  const auto head = bytes.substr(0, kFrameHead), body = bytes.substr(kFrameHead);
  ASSERT_EQ(answer_size(head), body.size());
  ASSERT_TRUE(decode_answer(head, body, 3));
  EXPECT_EQ(decode_answer(head, body, 3)->at(2), "ccc");
  EXPECT_FALSE(decode_answer(head, body, 2));
  EXPECT_FALSE(decode_answer(head, body, 4));
  for (size_t i = 0; i < body.size(); i++) EXPECT_FALSE(decode_answer(head, body.substr(0, i), 3));
  std::string lie = body;
  lie[0] = '\x7f';
  EXPECT_FALSE(decode_answer(head, lie, 3));
}

}  // namespace
}  // namespace nm::identity
