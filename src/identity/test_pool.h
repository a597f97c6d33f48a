// A pool in a directory of its own, for tests, and members with certificates as they should and should not be.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "identity/authority.h"
#include "identity/enrolment.h"
#include "identity/files.h"

namespace nm::identity {

constexpr time_t kHour = 3600;

class TestPool {
 public:
  explicit TestPool(const std::string& id = "0123456789abcdef") : id_(id) {
    ::signal(SIGPIPE, SIG_IGN);  // as every program does that writes through OpenSSL
    char dir[] = "/tmp/nm-pool-XXXXXX";
    dir_ = {::mkdtemp(dir)};
    const auto authority = Authority::create(dir_, id_, ::time(nullptr));
    EXPECT_TRUE(authority) << (authority ? "" : authority.error().message);
    EXPECT_TRUE(write_new(dir_.settings(), settings_text({.id = id_, .address = "127.0.0.1:1"}), 0644));
    for (const Role role : {Role::host, Role::user}) {
      const auto issued = issue_here(dir_, member(role), ::time(nullptr));
      EXPECT_TRUE(issued) << (issued ? "" : issued.error().message);
    }
  }
  ~TestPool() { std::filesystem::remove_all(dir_.path); }
  TestPool(const TestPool&) = delete;

  const PoolDir& dir() const { return dir_; }
  Authority authority() const { return std::move(*Authority::open(dir_)); }
  Member member(Role role, const std::string& name = "") const {
    return {id_, role, !name.empty() ? name : role == Role::host ? "gpu1" : "alice"};
  }
  // Another directory, as `member` would have it on its own machine; the certificate counts in [from, from + lasts).
  PoolDir directory_of(const Member& member, time_t from = ::time(nullptr), time_t lasts = 24 * kHour) {
    const PoolDir place = {dir_.path + "/machine-" + std::to_string(machines_++)};
    std::filesystem::create_directory(place.path);
    const auto key = PrivateKey::make();
    const auto certificate = authority().issue(key->get(), member, lasts, from);
    EXPECT_TRUE(write_new(place.key(member.role), *key->pem(), 0600));
    EXPECT_TRUE(write_new(place.certificate(member.role), certificate->pem(), 0644));
    for (const auto& file : {"/pool.toml", "/ca.crt"}) {
      std::filesystem::copy_file(dir_.path + file, place.path + file);
    }
    return place;
  }

 private:
  const std::string id_;
  PoolDir dir_;
  int machines_ = 0;
};

inline bool holds(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

inline bool eventually(const std::function<bool()>& condition) {
  for (const TimePoint end = Clock::now() + std::chrono::seconds(60); Clock::now() < end;) {
    if (condition()) return true;
    std::this_thread::sleep_for(Millis(5));
  }
  return condition();
}

}  // namespace nm::identity
