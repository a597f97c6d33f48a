#include "client/channel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

namespace nm::client {
namespace {

// The other end: remembers what comes, in its order, and answers calls.
class Answering final : public wire::Stream {
 public:
  explicit Answering(bool directly) : directly_(directly) {}

  ssize_t write(std::span<const iovec> parts, int) override {
    std::lock_guard lock(mutex_);
    size_t all = 0;
    for (const iovec& p : parts) {
      auto* bytes = static_cast<const uint8_t*>(p.iov_base);
      come_.insert(come_.end(), bytes, bytes + p.iov_len);
      all += p.iov_len;
    }
    wire::RecordHeader header;
    while (come_.size() - at_ >= sizeof header) {
      memcpy(&header, come_.data() + at_, sizeof header);
      if (come_.size() - at_ < header.size + header.bulk) break;
      at_ += header.size + header.bulk;
      records_.push_back(header.context);
      if (!header.sequence) continue;
      wire::ReplyHeader reply{};
      reply.size = sizeof reply;
      reply.sequence = header.sequence;
      auto* bytes = reinterpret_cast<const uint8_t*>(&reply);
      replies_.insert(replies_.end(), bytes, bytes + sizeof reply);
    }
    return static_cast<ssize_t>(all);
  }
  ssize_t read(void* to, size_t capacity) override {
    std::lock_guard lock(mutex_);
    const size_t n = std::min(capacity, replies_.size());
    std::copy_n(replies_.begin(), n, static_cast<uint8_t*>(to));
    replies_.erase(replies_.begin(), replies_.begin() + static_cast<long>(n));
    return static_cast<ssize_t>(n);
  }
  Fd take_fd() override { return {}; }
  void wait(unsigned, int64_t) override { std::this_thread::yield(); }
  void shut() override {}
  bool writes_directly() const override { return directly_; }
  bool passes_fds() const override { return false; }

  std::vector<uint64_t> records() {
    std::lock_guard lock(mutex_);
    return records_;
  }

 private:
  const bool directly_;
  std::mutex mutex_;
  std::vector<uint8_t> come_;
  size_t at_ = 0;
  std::vector<uint64_t> records_;  // their contexts: the test's numbers
  std::deque<uint8_t> replies_;
};

class ChannelOrder : public testing::TestWithParam<bool> {};

TEST_P(ChannelOrder, ThePlaceOfACallIsThatOfItsRecordAmongAll) {
  constexpr uint64_t kThreads = 3, kEach = 4000;
  auto stream = std::make_unique<Answering>(GetParam());
  Answering& other_end = *stream;
  auto channel = Channel::over(std::move(stream), [](auto&&...) { return false; });
  std::vector<std::map<uint64_t, uint64_t>> places(kThreads);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < kThreads; t++) {
    threads.emplace_back([&, t] {
      const std::vector<uint8_t> large(100'000);
      for (uint64_t i = 0; i < kEach; i++) {
        wire::RecordHeader header{};
        header.context = t * kEach + i;
        if (i % 100 == 99) header.bulk = large.size();
        if (i % 8) {
          channel->post(header, {}, large.data(), -1);
          continue;
        }
        Pending pending;
        EXPECT_TRUE(channel->call(header, {}, large.data(), -1, &pending));
        places[t][header.context] = pending.place;
        EXPECT_LE(pending.place, channel->sent());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  channel->flush();
  const auto records = other_end.records();
  ASSERT_EQ(kThreads * kEach, records.size());
  EXPECT_EQ(records.size(), channel->sent());
  for (auto& mine : places) {
    for (auto [number, place] : mine) {
      ASSERT_TRUE(place >= 1 && place <= records.size());
      ASSERT_EQ(number, records[place - 1]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Streams, ChannelOrder, testing::Values(true, false),
                         [](const auto& info) { return info.param ? "Ring" : "Socket"; });

}  // namespace
}  // namespace nm::client
