// What is issued, what is kept, and what of it is believed.
#include "identity/authority.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include "identity/audit.h"
#include "identity/log_once.h"
#include "identity/revocations.h"
#include "identity/roster.h"
#include "identity/test_pool.h"
#include "identity/tls.h"

namespace nm::identity {
namespace {

mode_t mode_of(const std::string& path) {
  struct stat file = {};
  ::stat(path.c_str(), &file);
  return file.st_mode & 0777;
}

TEST(Authority, ItsKeyIsForItsOwnerAndIsNeverOverwritten) {
  TestPool pool;
  EXPECT_EQ(mode_of(pool.dir().authority_key()), 0600u);
  EXPECT_EQ(mode_of(pool.dir().key(Role::host)), 0600u);
  const auto before = read_file(pool.dir().authority_key());
  const auto again = Authority::create(pool.dir(), "fedcba9876543210", ::time(nullptr));
  ASSERT_FALSE(again);
  EXPECT_PRED2(holds, again.error().message, "is there already and is not overwritten");
  EXPECT_EQ(*read_file(pool.dir().authority_key()), *before);
}

TEST(Authority, AKeyThatOthersMayReadIsRefused) {
  TestPool pool;
  ::chmod(pool.dir().key(Role::user).c_str(), 0644);
  const auto key = PrivateKey::read(pool.dir().key(Role::user));
  ASSERT_FALSE(key);
  EXPECT_PRED2(holds, key.error().message, "chmod 600");
}

TEST(Authority, ACertificateNamesItsMemberAndLastsAsLongAsIsSaid) {
  TestPool pool;
  const auto key = PrivateKey::make();
  const time_t now = 1'800'000'000;
  const auto certificate = pool.authority().issue(key->get(), pool.member(Role::user), 24 * kHour, now);
  ASSERT_TRUE(certificate);
  EXPECT_EQ(certificate->member()->uri(), "nearmetal://pool/0123456789abcdef/user/alice");
  EXPECT_EQ(certificate->not_before(), now - kClockSkew);
  EXPECT_EQ(certificate->not_after(), now + 24 * kHour);
  EXPECT_EQ(certificate->serial().size(), 32u);
  EXPECT_NE(certificate->serial(), pool.authority().issue(key->get(), pool.member(Role::user), 1, now)->serial());
}

TEST(Authority, TwoThatDoNotBelongTogetherAreNoAuthority) {
  TestPool pool, other;
  std::filesystem::copy_file(other.dir().authority_certificate(), pool.dir().authority_certificate(),
                             std::filesystem::copy_options::overwrite_existing);
  const auto opened = Authority::open(pool.dir());
  ASSERT_FALSE(opened);
  EXPECT_PRED2(holds, opened.error().message, "do not belong together");
}

TEST(Member, OnlyWhatItWritesIsRead) {
  const Member member = {"0123456789abcdef", Role::host, "gpu-1.example"};
  EXPECT_EQ(parse_member(member.uri()), member);
  EXPECT_EQ(parse_member_text(member.text(), member.pool), member);
  for (const std::string uri :
       {"", "nearmetal://pool/", "nearmetal://pool/0123456789abcdef/host/", "nearmetal://pool/0123456789abcde/host/a",
        "nearmetal://pool/0123456789ABCDEF/host/a", "nearmetal://pool/0123456789abcdef/root/a",
        "nearmetal://pool/0123456789abcdef/host/a/b", "nearmetal://pool/0123456789abcdef/host/-a",
        "nearmetal://pool/0123456789abcdef/host/a b", "xnearmetal://pool/0123456789abcdef/host/a"}) {
    EXPECT_FALSE(parse_member(uri)) << uri;
  }
  EXPECT_FALSE(is_member_name(std::string(64, 'a')));
  EXPECT_FALSE(is_member_name("a\n"));
}

TEST(Request, IsCheckedForCurveAndPossession) {
  const auto key = PrivateKey::make();
  const std::string good = *make_request(*key);
  EXPECT_TRUE(check_request(good));
  std::string changed = good;
  changed[changed.size() - 1] = static_cast<char>(changed.back() ^ 1);
  EXPECT_FALSE(check_request(changed));
  EXPECT_FALSE(check_request(good + "x"));
  EXPECT_FALSE(check_request(good.substr(0, good.size() - 1)));
  EXPECT_FALSE(check_request(""));
  EXPECT_FALSE(check_request(std::string(kMaxRequest + 1, 'x')));
}

TEST(Request, AKeyOfAnotherKindIsRefused) {
  const KeyPtr other(EVP_EC_gen("P-384"));
  const RequestPtr request(X509_REQ_new());
  X509_REQ_set_pubkey(request.get(), other.get());
  X509_REQ_sign(request.get(), other.get(), EVP_sha256());
  unsigned char* der = nullptr;
  const int size = i2d_X509_REQ(request.get(), &der);
  const auto checked = check_request({reinterpret_cast<char*>(der), static_cast<size_t>(size)});
  OPENSSL_free(der);
  ASSERT_FALSE(checked);
  EXPECT_PRED2(holds, checked.error().message, "P-256");
}

TEST(Revocations, AreReadBackAsTheAuthoritySignedThem) {
  TestPool pool;
  const Authority authority = pool.authority();
  Revocations list("0123456789abcdef");
  list.add({.serial = "52ab", .until = 2'000'000'000, .member = "user/alice"});
  list.add({.serial = "53ab", .until = 1'000, .member = "user/long-gone"});
  const auto text = list.sign_next(authority, 1'800'000'000);
  ASSERT_TRUE(text);
  const auto read = Revocations::parse(*text, authority.certificate(), "0123456789abcdef");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->version(), 1u);
  EXPECT_TRUE(read->has("52ab"));
  EXPECT_FALSE(read->has("53ab")) << "its time was over anyway";
  EXPECT_FALSE(Revocations::parse(*text, authority.certificate(), "fedcba9876543210"));
  for (size_t i = 0; i < text->size(); i++) {
    std::string changed = *text;
    changed[i] = static_cast<char>(changed[i] ^ 4);
    EXPECT_FALSE(Revocations::parse(changed, authority.certificate(), "0123456789abcdef")) << "byte " << i;
  }
  TestPool other;
  EXPECT_FALSE(Revocations::parse(*text, other.authority().certificate(), "0123456789abcdef"));
}

TEST(Revoke, EndsEveryCertificateOfAMemberAndNobodyElses) {
  TestPool pool;
  const time_t now = ::time(nullptr);
  ASSERT_TRUE(issue_here(pool.dir(), pool.member(Role::user), now));
  const auto count = revoke(pool.dir(), "alice", "a test", now);
  ASSERT_TRUE(count) << count.error().message;
  EXPECT_EQ(*count, 2u);
  EXPECT_EQ(*revoke(pool.dir(), "alice", "a test", now), 0u);
  const auto list = Revocations::read(pool.dir(), pool.authority().certificate(), "0123456789abcdef");
  ASSERT_TRUE(list);
  const auto issued = read_issued(pool.dir());
  ASSERT_TRUE(issued);
  for (const Issued& one : *issued) EXPECT_EQ(list->has(one.serial), one.name == "alice");
  const auto nobody = revoke(pool.dir(), "bob", "a test", now);
  ASSERT_FALSE(nobody);
  EXPECT_PRED2(holds, nobody.error().message, "pool members");
}

TEST(Audit, IsALineAnEventAndNothingInAFieldBreaksIt) {
  TestPool pool;
  const AuditLog log(pool.dir().path + "/a.jsonl");
  ASSERT_TRUE(log.write({.what = "session", .who = "user alice", .from = "tcp:1", .more = {{"program", "a\nb\"\xff"}}},
                        0, true));
  ASSERT_TRUE(log.write({.what = "refused"}, 86'400, false));
  EXPECT_EQ(*read_file(pool.dir().path + "/a.jsonl"),
            "{\"time\":\"1970-01-01T00:00:00Z\",\"event\":\"session\",\"who\":\"user alice\",\"from\":\"tcp:1\","
            "\"program\":\"a\\nb\\\"\\ufffd\"}\n{\"time\":\"1970-01-02T00:00:00Z\",\"event\":\"refused\"}\n");
}

TEST(Audit, AFullDiskIsAnErrorAndNoCertificateIsGivenWithoutALine) {
  TestPool pool;
  ASSERT_FALSE(AuditLog("/dev/full").write({.what = "x"}, 0, false));
  std::filesystem::remove(pool.dir().audit());
  std::filesystem::create_directory(pool.dir().audit());  // nothing can be appended to it
  const auto before = read_file(pool.dir().certificate(Role::user));
  EXPECT_FALSE(issue_here(pool.dir(), pool.member(Role::user), ::time(nullptr)));
  EXPECT_EQ(*read_file(pool.dir().certificate(Role::user)), *before);
  EXPECT_FALSE(revoke(pool.dir(), "alice", "a test", ::time(nullptr)));
  EXPECT_FALSE(exists(pool.dir().revoked()));
}

TEST(LogOnce, APeerIsToldOfOnceAMinuteWithHowOften) {
  LogOnce once(Millis(60'000), 3);
  TimePoint now;
  EXPECT_EQ(once.due("a", now), 0u);
  for (int i = 0; i < 5; i++) EXPECT_FALSE(once.due("a", now + Millis(i)));
  EXPECT_EQ(once.due("b", now), 0u);
  EXPECT_EQ(once.due("a", now + Millis(60'000)), 5u);
  EXPECT_FALSE(once.due("a", now + Millis(60'001)));
}

TEST(LogOnce, ACrowdOfPeersIsToldOfTogether) {
  LogOnce once(Millis(60'000), 3);
  const TimePoint now;
  int lines = 0;
  for (int i = 0; i < 1000; i++) lines += once.due(std::to_string(i), now).has_value();
  EXPECT_EQ(lines, 4) << "three by name, and one for all others";
}

}  // namespace
}  // namespace nm::identity
