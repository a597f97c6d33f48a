#include "base/memory_file.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

namespace nm {
namespace {

TEST(MemoryFile, ItsPagesAreThere) {
  constexpr uint64_t kSize = (5 << 20) + 4096;
  const Fd file = make_memory_file("test", kSize);
  ASSERT_TRUE(file) << strerror(errno);
  struct stat there;
  ASSERT_EQ(0, fstat(file.get(), &there));
  EXPECT_EQ(kSize, static_cast<uint64_t>(there.st_size));
  EXPECT_GE(static_cast<uint64_t>(there.st_blocks) * 512, kSize) << "only long, not filled";
}

TEST(MemoryFile, MoreThanTheMachineHasIsRefusedAndNotTried) {
  EXPECT_FALSE(make_memory_file("test", 1ull << 45));
  EXPECT_EQ(ENOMEM, errno);
  EXPECT_FALSE(make_memory_file("test", 0));
  EXPECT_FALSE(make_memory_file("test", 1ull << 63));
}

TEST(MemoryFile, APartIsFilledAndEmptied) {
  constexpr uint64_t kPart = 3 << 20, kOffset = 1ull << 40;
  const Fd file = make_sparse_memory_file("test", 1ull << 50);
  ASSERT_TRUE(file) << strerror(errno);
  struct stat st;
  ASSERT_EQ(0, fstat(file.get(), &st));
  EXPECT_EQ(0, st.st_blocks);
  ASSERT_TRUE(fill_memory_file(file.get(), kOffset, kPart));
  ASSERT_EQ(0, fstat(file.get(), &st));
  EXPECT_EQ(kPart, static_cast<uint64_t>(st.st_blocks) * 512);
  char bytes[4] = "abc";
  ASSERT_EQ(4, pwrite(file.get(), bytes, 4, kOffset));
  ASSERT_TRUE(empty_memory_file(file.get(), kOffset, kPart));
  ASSERT_EQ(4, pread(file.get(), bytes, 4, kOffset));
  EXPECT_EQ(0, bytes[0]);
  ASSERT_EQ(0, fstat(file.get(), &st));
  EXPECT_EQ(0, st.st_blocks);
  EXPECT_FALSE(fill_memory_file(file.get(), 0, 1ull << 45));
  EXPECT_EQ(ENOMEM, errno);
}

// The limit is the process's own, so each runs in one of its own. Exit status 0: all was as it should be.
template <typename F>
int in_child(F&& body) {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit{1 << 20, 1 << 20};
    setrlimit(RLIMIT_FSIZE, &limit);
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(MemoryFile, BeyondTheLimitOnFilesItIsAnErrorAndNoSignal) {
  EXPECT_EQ(0, in_child([] {
              if (make_memory_file("test", 2 << 20) || errno != EFBIG) return 1;
              if (!make_memory_file("test", 1 << 20)) return 2;
              sigset_t mask;
              pthread_sigmask(SIG_SETMASK, nullptr, &mask);
              return sigismember(&mask, SIGXFSZ) ? 3 : 0;
            }));
}

TEST(MemoryFile, ASignalThatWasWaitingBeforeIsLeftToTheProgram) {
  EXPECT_EQ(0, in_child([] {
              sigset_t mine, pending;
              sigemptyset(&mine);
              sigaddset(&mine, SIGXFSZ);
              pthread_sigmask(SIG_BLOCK, &mine, nullptr);
              raise(SIGXFSZ);
              if (make_memory_file("test", 2 << 20)) return 1;
              sigpending(&pending);
              return sigismember(&pending, SIGXFSZ) ? 0 : 2;
            }));
}

TEST(MemoryFile, SignalsThatComeAllTheTimeDoNotKeepItFromEnding) {
  struct sigaction action {
  }, before{};
  action.sa_handler = [](int) {};
  sigaction(SIGALRM, &action, &before);
  const itimerval often{{0, 500}, {0, 500}}, never{};
  setitimer(ITIMER_REAL, &often, nullptr);
  const Fd file = make_memory_file("test", 64 << 20);
  const int error = errno;
  setitimer(ITIMER_REAL, &never, nullptr);
  sigaction(SIGALRM, &before, nullptr);
  EXPECT_TRUE(file) << strerror(error);
}

}  // namespace
}  // namespace nm
