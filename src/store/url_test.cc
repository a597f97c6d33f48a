#include "store/url.h"

#include <gtest/gtest.h>

#include "store/open.h"

namespace nm::store {
namespace {

TEST(StoreUrl, names_a_file_or_the_members_of_a_cluster) {
  const auto file = parse_location("sqlite:/var/lib/nearmetal/pool.db");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->kind, Location::Kind::sqlite);
  EXPECT_EQ(file->path, "/var/lib/nearmetal/pool.db");

  const auto etcd = parse_location("etcd://a:2379,b.example.org,[::1]:99,10.0.0.1");
  ASSERT_TRUE(etcd) << etcd.error().message;
  EXPECT_EQ(etcd->kind, Location::Kind::etcd);
  EXPECT_EQ(etcd->etcd.members,
            (std::vector<std::string>{"a:2379", "b.example.org:2379", "[::1]:99", "10.0.0.1:2379"}));
  EXPECT_EQ(etcd->etcd.prefix, "nearmetal/");
  EXPECT_FALSE(etcd->etcd.tls);

  const auto tls = parse_location("etcds://a?ca=/etc/ca.pem&cert=/c%20d&key=/k&prefix=blue");
  ASSERT_TRUE(tls) << tls.error().message;
  EXPECT_TRUE(tls->etcd.tls);
  EXPECT_EQ(tls->etcd.ca, "/etc/ca.pem");
  EXPECT_EQ(tls->etcd.cert, "/c d");
  EXPECT_EQ(tls->etcd.key, "/k");
  EXPECT_EQ(tls->etcd.prefix, "blue/");
}

TEST(StoreUrl, says_what_is_wrong_with_one_that_names_none) {
  const std::pair<std::string, const char*> table[] = {
      {"", "begins neither"},
      {"http://a:2379", "begins neither"},
      {"/var/lib/pool.db", "begins neither"},
      {"sqlite:", "no file"},
      {"sqlite://a/b", "two slashes"},
      {"sqlite:/var/lib/", "a directory"},
      {std::string("sqlite:/a\0b", 11), "no file"},
      {"etcd://", "is no member"},
      {"etcd://a,", "is no member"},
      {"etcd://a:", "is no member"},
      {"etcd://a:0", "is no member"},
      {"etcd://a:65536", "is no member"},
      {"etcd://a: 1", "is no member"},
      {"etcd://a:1x", "is no member"},
      {"etcd://::1", "is no member"},
      {"etcd://[::1", "is no member"},
      {"etcd://[]", "is no member"},
      {"etcd://a b", "is no member"},
      {"etcd://user:secret@a", "is no member"},
      {"etcd://a,b:2379,a:2379", "a:2379 twice"},
      {"etcd://a,b,c,d,e,f,g,h,i,j", "more than 9"},
      {"etcd://a/pool", "not a path"},
      {"etcd://a?", "no value"},
      {"etcd://a?prefix", "no value"},
      {"etcd://a?prefix=", "no value"},
      {"etcd://a?prefix=%", "no value"},
      {"etcd://a?prefix=%00", "no value"},
      {"etcd://a?color=blue", "no option \"color\""},
      {"etcd://a?prefix=a&prefix=b", "twice"},
      {"etcd://a?ca=/x", "etcds://"},
      {"etcds://a?cert=/x", "belong together"},
      {"etcd://a?prefix=" + std::string(65, 'p'), "shorter"},
  };
  for (const auto& [url, why] : table) {
    const auto location = parse_location(url);
    ASSERT_FALSE(location) << url;
    EXPECT_NE(location.error().message.find(why), std::string::npos) << url << ": " << location.error().message;
    EXPECT_EQ(location.error().message.back(), '.');
  }
}

TEST(StoreUrl, opens_what_is_not_there_yet) {
  EXPECT_TRUE(open_store("sqlite:/nowhere/at/all.db"));
  const auto etcd = open_store("etcd://localhost:1");
  ASSERT_TRUE(etcd);
  EXPECT_EQ((*etcd)->name(), "etcd://localhost:1");
  const auto no_ca = open_store("etcds://localhost:1?ca=/nowhere/ca.pem");
  ASSERT_FALSE(no_ca);
  EXPECT_NE(no_ca.error().message.find("/nowhere/ca.pem"), std::string::npos) << no_ca.error().message;
}

}  // namespace
}  // namespace nm::store
