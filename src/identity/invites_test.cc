#include "identity/invites.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "identity/test_pool.h"

namespace nm::identity {
namespace {

std::string complaint(const Result<Invite>& result) { return result ? "redeemed" : result.error().message; }

TEST(Token, IsReadBackAndASlipIsNoticed) {
  Token token = {.secret = std::string(kSecretSize, '\x7f'), .authority = {}, .address = "[2001:db8::1]:7811"};
  token.authority[3] = 9;
  const std::string text = token.text();
  ASSERT_TRUE(parse_token(text));
  EXPECT_EQ(*parse_token(text), token);
  for (size_t i = 0; i < text.size(); i++) {
    std::string slipped = text;
    slipped[i] = slipped[i] == 'a' ? 'b' : 'a';
    EXPECT_FALSE(parse_token(slipped)) << i;
    EXPECT_FALSE(parse_token(text.substr(0, i))) << i;
  }
  EXPECT_FALSE(parse_token(text + "A"));
  EXPECT_FALSE(parse_token(std::string(100'000, 'a')));
}

TEST(Invites, AreKeptWithoutTheirSecret) {
  TestPool pool;
  const auto secret = Invites(pool.dir()).add({.role = Role::user, .name = "bob", .expires = 2000}, 1000);
  ASSERT_TRUE(secret);
  EXPECT_EQ(secret->size(), kSecretSize);
  for (const auto& entry : std::filesystem::directory_iterator(pool.dir().invites())) {
    EXPECT_EQ(read_file(entry.path())->find(*secret), std::string::npos);
    EXPECT_EQ(entry.path().string().find(hex(*secret)), std::string::npos);
    EXPECT_EQ(static_cast<int>(entry.status().permissions()), 0600);
  }
}

TEST(Invites, CountOnceAndForTheirTime) {
  TestPool pool;
  Invites invites(pool.dir());
  const std::string secret = *invites.add({.role = Role::host, .name = "gpu2", .expires = 2000}, 1000);
  EXPECT_PRED2(holds, complaint(invites.redeem(secret, 2001)), "time is over");
  const auto invite = invites.redeem(secret, 2000);
  ASSERT_TRUE(invite);
  EXPECT_EQ(invite->name, "gpu2");
  EXPECT_EQ(invite->role, Role::host);
  EXPECT_PRED2(holds, complaint(invites.redeem(secret, 2000)), "has been used");
  EXPECT_PRED2(holds, complaint(invites.redeem(std::string(kSecretSize, 'x'), 2000)), "knows no such token");
  invites.restore(secret);
  EXPECT_TRUE(invites.redeem(secret, 2000));
}

TEST(Invites, OfManyWhoComeAtOnceOneIsLetIn) {
  TestPool pool;
  Invites invites(pool.dir());
  const std::string secret = *invites.add({.role = Role::user, .name = "bob", .expires = 2000}, 1000);
  std::atomic<int> redeemed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; i++)
    threads.emplace_back([&] { redeemed += bool(Invites(pool.dir()).redeem(secret, 1500)); });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(redeemed, 1);
}

TEST(Invites, OldOnesAreRemovedInTheEnd) {
  TestPool pool;
  Invites invites(pool.dir());
  const std::string secret = *invites.add({.role = Role::user, .name = "bob", .expires = 2000}, 1000);
  const auto count = [&] {
    return std::distance(std::filesystem::directory_iterator(pool.dir().invites()),
                         std::filesystem::directory_iterator());
  };
  ASSERT_TRUE(invites.add({.role = Role::user, .name = "eve", .expires = 100'000'000}, 3000));
  EXPECT_EQ(count(), 2);
  ASSERT_TRUE(invites.add({.role = Role::user, .name = "eve", .expires = 100'000'000}, 3000 + 8 * 24 * 3600));
  EXPECT_EQ(count(), 2);
}

}  // namespace
}  // namespace nm::identity
