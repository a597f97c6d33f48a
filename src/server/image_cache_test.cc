#include "server/image_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>

namespace nm::server {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<uint8_t>;

Bytes image_of(size_t size, uint8_t seed) {
  Bytes image(size);
  for (size_t i = 0; i < size; i++) image[i] = static_cast<uint8_t>(i * 31 + (i >> 8) + seed);
  return image;
}

class ImageCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/nm-cache-XXXXXX";
    root_ = mkdtemp(path);
    directory_ = root_ / "made" / "for us";
  }
  void TearDown() override { fs::remove_all(root_); }

  ImageCache open(uint64_t limit = 1 << 20) {
    auto cache = ImageCache::open(directory_, limit);
    EXPECT_TRUE(cache) << cache.error().message;
    return std::move(*cache);
  }
  fs::path file_of(const Bytes& image) const { return directory_ / wire::text_of(wire::image_name(image)); }
  bool found(ImageCache& cache, const Bytes& image) {
    auto found = cache.find(wire::image_name(image), image.size());
    EXPECT_TRUE(!found || *found == image);
    return found.has_value();
  }
  uint64_t bytes_on_disk() const {
    uint64_t sum = 0;
    for (auto& entry : fs::directory_iterator(directory_)) {
      if (entry.path().filename().string().size() == 64) sum += entry.file_size();
    }
    return sum;
  }
  void last_asked_for(const Bytes& image, int seconds_ago) {
    fs::last_write_time(file_of(image), fs::file_time_type::clock::now() - std::chrono::seconds(seconds_ago));
  }

  fs::path root_, directory_;
};

TEST_F(ImageCacheTest, WhatIsStoredIsFoundByEveryWorkerAndReadByNobodyElse) {
  ImageCache one = open(), other = open();
  const Bytes image = image_of(50'000, 1);
  EXPECT_FALSE(found(one, image));
  EXPECT_TRUE(one.store(image));
  EXPECT_TRUE(found(other, image));
  struct stat st;
  ASSERT_EQ(stat(file_of(image).c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  ASSERT_EQ(stat(directory_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0700u);
  EXPECT_TRUE(found(one, image)) << "asking takes nothing away";
}

TEST_F(ImageCacheTest, ACacheThatIsNoneKeepsNothing) {
  ImageCache none;
  const Bytes image = image_of(1000, 1);
  EXPECT_FALSE(none.keeps());
  EXPECT_FALSE(none.store(image));
  EXPECT_FALSE(found(none, image));
}

TEST_F(ImageCacheTest, AllTogetherStayUnderTheLimitAndTheLongestUnaskedGo) {
  ImageCache cache = open(100'000);
  std::vector<Bytes> images;
  for (uint8_t i = 0; i < 4; i++) {
    images.push_back(image_of(24'000, i));
    ASSERT_TRUE(cache.store(images[i]));
    last_asked_for(images[i], 100 - i);
  }
  EXPECT_TRUE(found(cache, images[0])) << "asked for just now";
  const Bytes more = image_of(24'000, 9);
  ASSERT_TRUE(cache.store(more));
  EXPECT_LE(bytes_on_disk(), 100'000u);
  EXPECT_TRUE(found(cache, more));
  EXPECT_TRUE(found(cache, images[0]));
  EXPECT_FALSE(found(cache, images[1])) << "nobody asked for it longest";
  for (uint8_t i = 20; i < 60; i++) {
    ASSERT_TRUE(cache.store(image_of(9'000 + 100u * i, i)));
    EXPECT_LE(bytes_on_disk(), 100'000u);
  }
}

TEST_F(ImageCacheTest, AnImageThatFillsItAloneIsKeptAndALargerOneIsNot) {
  ImageCache cache = open(40'000);
  ASSERT_TRUE(cache.store(image_of(1000, 1)));
  const Bytes whole = image_of(40'000, 2), larger = image_of(40'001, 3);
  EXPECT_FALSE(cache.store(larger));
  EXPECT_TRUE(cache.store(whole));
  EXPECT_TRUE(found(cache, whole));
  EXPECT_EQ(bytes_on_disk(), 40'000u);
}

TEST_F(ImageCacheTest, AWrongTotalOnlyMeansThatItIsCountedAgain) {
  ImageCache cache = open(50'000);
  ASSERT_TRUE(cache.store(image_of(20'000, 1)));
  for (const char* junk : {"", "x", "\xff\xff\xff\xff\xff\xff\xff\xff"}) {
    std::ofstream(directory_ / "total", std::ios::trunc) << junk;
    const Bytes image = image_of(20'000, static_cast<uint8_t>(*junk));
    EXPECT_TRUE(cache.store(image));
    EXPECT_TRUE(found(cache, image));
    EXPECT_LE(bytes_on_disk(), 50'000u);
  }
}

TEST_F(ImageCacheTest, ADamagedFileIsNotUsedAndGoes) {
  ImageCache cache = open();
  const Bytes image = image_of(30'000, 1);
  const auto damage = {
      +[](const fs::path& file) { std::fstream(file, std::ios::in | std::ios::out).seekp(12'345).put('!'); },
      +[](const fs::path& file) { fs::resize_file(file, 100); },
      +[](const fs::path& file) { fs::resize_file(file, 40'000); },
      +[](const fs::path& file) { fs::resize_file(file, 0); },
  };
  for (auto* spoil : damage) {
    ASSERT_TRUE(cache.store(image));
    ASSERT_TRUE(found(cache, image));
    spoil(file_of(image));
    EXPECT_FALSE(found(cache, image));
    EXPECT_FALSE(fs::exists(file_of(image)));
  }
  EXPECT_TRUE(cache.store(image));
  EXPECT_TRUE(found(cache, image));
}

TEST_F(ImageCacheTest, AnotherImageUnderTheNameIsNotUsed) {
  ImageCache cache = open();
  const Bytes image = image_of(30'000, 1), evil = image_of(30'000, 2);
  ASSERT_TRUE(cache.store(evil));
  fs::rename(file_of(evil), file_of(image));
  EXPECT_FALSE(found(cache, image));
  ASSERT_TRUE(cache.store(image));
  EXPECT_TRUE(found(cache, image));
}

TEST_F(ImageCacheTest, AWrongSizeFindsNothingAndSpoilsNothing) {
  ImageCache cache = open();
  const Bytes image = image_of(30'000, 1);
  ASSERT_TRUE(cache.store(image));
  for (uint64_t size : {uint64_t{0}, uint64_t{1}, uint64_t{29'999}, uint64_t{30'001}, ~uint64_t{0}}) {
    EXPECT_FALSE(cache.find(wire::image_name(image), size)) << size;
  }
  EXPECT_TRUE(found(cache, image));
}

TEST_F(ImageCacheTest, WhatIsNoFileIsNotRead) {
  ImageCache cache = open();
  const Bytes image = image_of(1000, 1);
  ASSERT_EQ(mkfifo(file_of(image).c_str(), 0600), 0);
  EXPECT_FALSE(found(cache, image)) << "and nobody waits for a writer";
  fs::remove(file_of(image));
  std::ofstream(root_ / "elsewhere", std::ios::binary).write(reinterpret_cast<const char*>(image.data()), 1000);
  fs::create_symlink(root_ / "elsewhere", file_of(image));
  EXPECT_FALSE(found(cache, image)) << "a link leads out of the directory";
}

TEST_F(ImageCacheTest, ADirectoryThatOthersMayWriteIsRefused) {
  fs::create_directories(directory_);
  chmod(directory_.c_str(), 0777);
  auto cache = ImageCache::open(directory_, 1000);
  ASSERT_FALSE(cache);
  EXPECT_NE(cache.error().message.find("may be written"), std::string::npos) << cache.error().message;
  std::ofstream(root_ / "file") << "x";
  EXPECT_FALSE(ImageCache::open(root_ / "file" / "below", 1000));
}

TEST_F(ImageCacheTest, AFullDiskKeepsNothingAndLeavesNothing) {
  ImageCache cache = open();
  const Bytes image = image_of(30'000, 1);
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    rlimit limit{10'000, 10'000};
    setrlimit(RLIMIT_FSIZE, &limit);
    _exit(cache.store(image) ? 1 : 0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(fs::exists(directory_ / "new"));
  EXPECT_FALSE(found(cache, image));
  EXPECT_TRUE(cache.store(image)) << "when there is room again";
}

TEST_F(ImageCacheTest, AWorkerThatDiedWhileItStoredIsInNobodysWay) {
  ImageCache cache = open();
  std::ofstream(directory_ / "new") << "half an im";
  const Bytes image = image_of(30'000, 1);
  EXPECT_TRUE(cache.store(image));
  EXPECT_TRUE(found(cache, image));
  EXPECT_FALSE(fs::exists(directory_ / "new"));
}

TEST_F(ImageCacheTest, ManyWorkersMayStoreAndFindAtOnce) {
  constexpr int kWorkers = 4, kImages = 12;
  ImageCache first = open(200'000);
  std::vector<pid_t> workers;
  for (int w = 0; w < kWorkers; w++) {
    workers.push_back(fork());
    if (workers.back() != 0) continue;
    auto cache = ImageCache::open(directory_, 200'000);
    bool fine = static_cast<bool>(cache);
    for (int round = 0; fine && round < 4; round++) {
      for (uint8_t i = 0; fine && i < kImages; i++) {
        const Bytes image = image_of(25'000, i);  // together more than the limit
        auto found = cache->find(wire::image_name(image), image.size());
        fine = !found || *found == image;
        if (!found) cache->store(image);
      }
    }
    _exit(fine ? 0 : 1);
  }
  for (pid_t worker : workers) {
    int status = -1;
    ASSERT_EQ(waitpid(worker, &status, 0), worker);
    EXPECT_EQ(status, 0);
  }
  EXPECT_LE(bytes_on_disk(), 200'000u);
  EXPECT_GT(bytes_on_disk(), 0u);
}

}  // namespace
}  // namespace nm::server
