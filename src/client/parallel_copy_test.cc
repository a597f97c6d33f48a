#include "client/parallel_copy.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <thread>
#include <vector>

namespace nm::client {
namespace {

std::vector<uint8_t> noise(size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<uint8_t> out(size);
  for (auto& b : out) b = static_cast<uint8_t>(random());
  return out;
}

// Lives as long as the process, as it must.
CopyHelpers& helpers() {
  static auto* three = new CopyHelpers(3);
  return *three;
}

TEST(ParallelCopy, CopiesEveryByteOfAnySizeAndNothingElse) {
  for (size_t size : {0ul, 1ul, 4095ul, 262'143ul, 262'144ul, 262'145ul, 1'000'003ul, 8'388'608ul}) {
    auto from = noise(size, 1);
    std::vector<uint8_t> to(size + 64, 0x5a);
    ASSERT_TRUE(helpers().copy(to.data(), from.data(), size));
    EXPECT_TRUE(std::equal(from.begin(), from.end(), to.begin())) << size;
    for (size_t i = size; i < to.size(); i++) ASSERT_EQ(0x5a, to[i]) << size;
  }
}

TEST(ParallelCopy, SeveralThreadsAtOnceEachGetTheirOwn) {
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; t++) {
    threads.emplace_back([t] {
      auto from = noise(1 << 20, t);
      std::vector<uint8_t> to(from.size());
      for (int i = 0; i < 50; i++) {
        std::fill(to.begin(), to.end(), 0);
        if (!helpers().copy(to.data(), from.data(), from.size())) parallel_copy(to.data(), from.data(), from.size());
        ASSERT_EQ(from, to);
      }
    });
  }
  for (auto& t : threads) t.join();
}

}  // namespace
}  // namespace nm::client
