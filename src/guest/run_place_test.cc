#include "guest/run_place.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "guest/disk_file.h"
#include "inventory/scratch.h"

namespace nm::guest {
namespace {

using inventory::Scratch;

void write(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

TEST(RunPlace, OneOfANameRuns) {
  const Scratch scratch;
  const std::string run = scratch.path() + "/run", keep = scratch.path() + "/keep";
  {
    auto first = RunPlace::take(run, keep, "train1");
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_TRUE(runs(first->qmp()));
    const auto second = RunPlace::take(run, keep, "train1");
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().message.find("A guest called train1 runs already"), std::string::npos);
    EXPECT_NE(second.error().message.find(std::to_string(::getpid())), std::string::npos);
    EXPECT_TRUE(RunPlace::take(run, keep, "train2"));
  }
  EXPECT_FALSE(runs(run + "/train1.qmp"));
  EXPECT_FALSE(runs(run + "/never.qmp"));
  EXPECT_TRUE(RunPlace::take(run, keep, "train1")) << "after the first has ended";
  struct stat stat = {};
  ASSERT_EQ(::stat(run.c_str(), &stat), 0);
  EXPECT_EQ(stat.st_mode & 0777, 0700u);
}

TEST(RunPlace, ALeftSocketIsInNobodysWay) {
  const Scratch scratch;
  write(scratch.path() + "/x.qmp", "");
  const auto place = RunPlace::take(scratch.path(), scratch.path(), "x");
  ASSERT_TRUE(place);
  EXPECT_NE(::access(place->qmp().c_str(), F_OK), 0);
}

TEST(RunPlace, NamesThatAreNoFilesAreRefused) {
  const Scratch scratch;
  for (const std::string name : {"", ".", "..", ".x", "-x", "a/b", "../x", "a\nb", "a\x7f"}) {
    EXPECT_FALSE(RunPlace::take(scratch.path(), scratch.path(), name)) << name;
  }
  EXPECT_FALSE(check_name(std::string(61, 'x')));
  EXPECT_FALSE(check_name(std::string("a\0b", 3)));
  for (const char* name : {"x", "train 1", "a,b", "<&>", "m\u00fcnchen", "a.b-c"})
    EXPECT_TRUE(check_name(name)) << name;
  const auto deep = RunPlace::take(scratch.path() + "/" + std::string(100, 'd'), scratch.path(), "x");
  ASSERT_FALSE(deep);
  EXPECT_NE(deep.error().message.find("too long a path for a socket"), std::string::npos);
}

TEST(RunPlace, NamesAGuestByItsDisk) {
  EXPECT_EQ(name_for("/srv/train 1.qcow2"), "train-1");
  EXPECT_EQ(name_for("debian-12.img"), "debian-12");
  EXPECT_EQ(name_for("/dev/vg/data"), "data");
  for (const std::string odd : {"", "/", "...", "-", "/x/.qcow2", std::string(500, 'x').c_str()}) {
    EXPECT_TRUE(check_name(name_for(odd))) << odd << " -> " << name_for(odd);
  }
}

TEST(RunPlace, KeepsAGuestsVariables) {
  const Scratch scratch;
  const std::string vars = scratch.path() + "/VARS.fd";
  write(vars, "fresh");
  const auto place = RunPlace::take(scratch.path() + "/run", scratch.path() + "/keep", "x");
  ASSERT_TRUE(place);
  ASSERT_TRUE(place->copy_variables(vars));
  write(place->variables(), "saved");
  ASSERT_TRUE(place->copy_variables(vars));
  std::string text;
  std::ifstream(place->variables()) >> text;
  EXPECT_EQ(text, "saved");
  write(vars, "another size");
  ASSERT_TRUE(place->copy_variables(vars));
  std::ifstream(place->variables()) >> text;
  EXPECT_EQ(text, "another");
  EXPECT_FALSE(place->copy_variables(scratch.path() + "/none"));
}

TEST(DiskFile, KnowsFormatsByTheirFirstBytes) {
  const Scratch scratch;
  const std::string path = scratch.path() + "/disk";
  write(path, std::string("QFI\xfb\0\0\0\3rest", 12));
  auto disk = look_at_disk(path);
  ASSERT_TRUE(disk) << disk.error().message;
  EXPECT_EQ(disk->format, "qcow2");
  write(path, std::string(512, 'x'));
  disk = look_at_disk(path);
  ASSERT_TRUE(disk);
  EXPECT_EQ(disk->format, "raw");
  EXPECT_TRUE(disk->path.starts_with('/'));
}

TEST(DiskFile, RefusesInSentences) {
  const Scratch scratch;
  const std::string path = scratch.path() + "/disk";
  const auto says = [&](const char* part) {
    const auto disk = look_at_disk(path);
    ASSERT_FALSE(disk) << part;
    EXPECT_NE(disk.error().message.find(part), std::string::npos) << disk.error().message;
    EXPECT_NE(disk.error().message.find(path), std::string::npos);
  };
  says("There is no disk");
  write(path, "");
  says("is empty");
  write(path, "KDMV and more");
  says("qemu-img convert");
  ::unlink(path.c_str());
  ::mkfifo(path.c_str(), 0600);
  says("neither a file nor a block device");
  EXPECT_FALSE(look_at_disk(""));
}

}  // namespace
}  // namespace nm::guest
