// Memory that the program registers: on the server's host its own pages become the device's, wherever that is safe, and
// nobody notices but by the speed (docs/decisions/0022). Over TCP the same programs run with mirrors.
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <thread>

#include "../driver/held_test.h"
#include "../driver/kernels.h"

namespace {

constexpr size_t kPage = 4096;

// Else memory is mirrored.
bool moves() {
  const char *server = getenv("NEARMETAL_SERVER"), *how = getenv("NEARMETAL_REGISTER");
  return server && strncmp(server, "unix:", 5) == 0 && !(how && strcmp(how, "mirror") == 0);
}

// True if the pages at `p` are shared with another process, as far as the kernel is concerned.
bool is_shared(const void* p) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    unsigned long first, end;
    char flags[5];
    if (sscanf(line.c_str(), "%lx-%lx %4s", &first, &end, flags) != 3) continue;
    const auto at = reinterpret_cast<unsigned long>(p);
    if (at >= first && at < end) return flags[3] == 's';
  }
  return false;
}

class Registered : public HeldTest {
 protected:
  void SetUp() override {
    HeldTest::SetUp();
    CUmodule module;
    OK(cuModuleLoadData(&module, kKernels));
    OK(cuModuleGetFunction(&fill_, module, "fill"));
    OK(cuModuleGetFunction(&spin_, module, "spin"));
    OK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
  }
  uint8_t* map(size_t size) {
    void* p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(MAP_FAILED, p);
    return static_cast<uint8_t*>(p);
  }
  void fill_with(uint8_t* p, size_t size, unsigned first) {
    for (size_t i = 0; i < size; i++) p[i] = pattern(i + first);
  }
  static uint8_t pattern(size_t i) { return static_cast<uint8_t>(i * 131 + (i >> 12)); }
  // All bytes go to the device and come back changed: each way by a copy that does not wait.
  void round_trip(uint8_t* p, size_t size) {
    fill_with(p, size, 7);
    CUdeviceptr there;
    OK(cuMemAlloc_v2(&there, size));
    OK(cuMemcpyHtoDAsync_v2(there, p, size, stream_));
    OK(cuStreamSynchronize(stream_));
    const auto copy = read<uint8_t>(there, size);
    for (size_t i = 0; i < size; i++) ASSERT_EQ(pattern(i + 7), copy[i]) << i;
    OK(cuMemsetD8Async(there, 0x5a, size, stream_));
    OK(cuMemcpyDtoHAsync_v2(p, there, size, stream_));
    OK(cuStreamSynchronize(stream_));
    for (size_t i = 0; i < size; i++) ASSERT_EQ(0x5a, p[i]) << i;
    OK(cuMemFree_v2(there));
  }
  CUdeviceptr device_pointer(void* p) {
    CUdeviceptr out = 0;
    EXPECT_EQ(CUDA_SUCCESS, cuMemHostGetDevicePointer_v2(&out, p, 0));
    return out;
  }
  void launch_fill(CUdeviceptr p, uint32_t value) {
    void* params[] = {&p, &value};
    ASSERT_EQ(CUDA_SUCCESS, cuLaunchKernel(fill_, 1, 1, 1, 1, 1, 1, 0, stream_, params, nullptr));
  }
  // Runs `body` in a forked child; true if it answers true.
  static bool in_child(const std::function<bool()>& body) {
    const pid_t child = fork();
    if (child == 0) _exit(body() ? 0 : 1);
    int status = -1;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

  CUfunction fill_ = nullptr, spin_ = nullptr;
  CUstream stream_ = nullptr;
};

TEST_F(Registered, PagesAreSharedWhileTheyAreRegistered) {
  for (size_t size : {kPage, 16 * kPage, (20ul << 20) + kPage}) {
    uint8_t* p = map(size);
    fill_with(p, size, 1);
    OK(cuMemHostRegister_v2(p, size, 0));
    EXPECT_EQ(moves(), is_shared(p));
    EXPECT_EQ(moves(), is_shared(p + size - 1));
    for (size_t i = 0; i < size; i++) ASSERT_EQ(pattern(i + 1), p[i]) << i;
    round_trip(p, size);
    fill_with(p, size, 2);
    OK(cuMemHostUnregister(p));
    EXPECT_FALSE(is_shared(p));
    for (size_t i = 0; i < size; i++) ASSERT_EQ(pattern(i + 2), p[i]) << i;
    munmap(p, size);
  }
}

TEST_F(Registered, AKernelSeesWritesDuringItsRunAndTheProgramTheKernels) {
  if (!moves()) GTEST_SKIP() << "large mirrors meet at launches and waits";
  constexpr size_t kSize = 4 << 20;
  auto* words = reinterpret_cast<uint32_t*>(map(kSize));
  constexpr size_t kLast = kSize / 4 - 1;
  OK(cuMemHostRegister_v2(words, kSize, CU_MEMHOSTREGISTER_DEVICEMAP));
  ASSERT_TRUE(is_shared(words));
  CUdeviceptr first = device_pointer(words), last = device_pointer(&words[kLast]);
  EXPECT_EQ(first + kLast * 4, last);
  launch_fill(first, 42);
  void* params[] = {&last};
  OK(cuLaunchKernel(spin_, 1, 1, 1, 1, 1, 1, 0, stream_, params, nullptr));
  while (__atomic_load_n(&words[0], __ATOMIC_ACQUIRE) != 42) usleep(100);
  EXPECT_EQ(CUDA_ERROR_NOT_READY, cuStreamQuery(stream_));
  __atomic_store_n(&words[kLast], 1, __ATOMIC_RELEASE);
  OK(cuStreamSynchronize(stream_));
  OK(cuMemHostUnregister(words));
  munmap(words, kSize);
}

TEST_F(Registered, ACopyThatWaitsInAStreamReadsWhatIsThereWhenItRuns) {
  if (!moves()) GTEST_SKIP() << "a mirror's bytes are taken when the copy is asked for";
  uint8_t* p = map(16 * kPage);
  OK(cuMemHostRegister_v2(p, 16 * kPage, 0));
  CUdeviceptr there;
  OK(cuMemAlloc_v2(&there, 16 * kPage));
  hold(stream_);
  OK(cuMemcpyHtoDAsync_v2(there, p, 16 * kPage, stream_));
  memset(p, 9, 16 * kPage);
  release();
  OK(cuStreamSynchronize(stream_));
  EXPECT_EQ(9, read<uint8_t>(there, 16 * kPage).back());
  OK(cuMemHostUnregister(p));
  munmap(p, 16 * kPage);
}

// numpy, std::vector and PyTorch allocate so: a header, then the bytes; neither end is a page's.
TEST_F(Registered, ABlockOfMallocWithPartialPagesAtBothEnds) {
  constexpr size_t kSize = (40 << 20) + 100;  // beyond what malloc would take from its heap
  auto* p = static_cast<uint8_t*>(malloc(kSize));
  ASSERT_NE(0u, reinterpret_cast<uintptr_t>(p) % kPage);
  OK(cuMemHostRegister_v2(p, kSize, 0));
#ifndef __SANITIZE_ADDRESS__
  EXPECT_EQ(moves(), is_shared(p));
#endif
  round_trip(p, kSize);
  fill_with(p, kSize, 3);
  // Larger and elsewhere, while it is registered: not forbidden, and without harm.
  p = static_cast<uint8_t*>(realloc(p, 2 * kSize));
  memset(p + kSize, 1, kSize);
  for (size_t i = 0; i < kSize; i += 97) ASSERT_EQ(pattern(i + 3), p[i]) << i;
  free(p);
}

TEST_F(Registered, ABlockIsFreedAfterwards) {
  for (int i = 0; i < 3; i++) {
    constexpr size_t kSize = (36 << 20) + 4000;
    auto* p = static_cast<uint8_t*>(calloc(kSize, 1));
    for (size_t at = 0; at < kSize; at += 1000) ASSERT_EQ(0, p[at]);
    OK(cuMemHostRegister_v2(p, kSize, 0));
    memset(p, 0xff, kSize);
    OK(cuMemHostUnregister(p));
    EXPECT_EQ(0xff, p[kSize - 1]);
    p = static_cast<uint8_t*>(realloc(p, 2 * kSize));
    EXPECT_EQ(0xff, p[kSize - 1]);
    p[2 * kSize - 1] = 1;
    free(p);
  }
}

// Pages that hold something else as well stay where they are.
TEST_F(Registered, NeighboursInAPageAreLeftAlone) {
  uint8_t* p = map(8 * kPage);
  memset(p, 0xaa, 8 * kPage);
  uint8_t* part = p + 100;
  const size_t size = 5 * kPage + 300;
  OK(cuMemHostRegister_v2(part, size, 0));
  EXPECT_FALSE(is_shared(p));
  round_trip(part, size);
  p[0] = 1;
  OK(cuMemHostUnregister(part));
  EXPECT_EQ(1, p[0]);
  for (size_t i = 1; i < 100; i++) ASSERT_EQ(0xaa, p[i]);
  for (size_t i = 100 + size; i < 8 * kPage; i++) ASSERT_EQ(0xaa, p[i]);
  munmap(p, 8 * kPage);
}

TEST_F(Registered, TwoInOnePage) {
  uint8_t* p = map(2 * kPage);
  OK(cuMemHostRegister_v2(p, 1000, 0));
  OK(cuMemHostRegister_v2(p + 1000, kPage, 0));
  round_trip(p, 1000);
  round_trip(p + 1000, kPage);
  EXPECT_EQ(0x5a, p[999]);
  OK(cuMemHostUnregister(p));
  round_trip(p + 1000, kPage);
  OK(cuMemHostUnregister(p + 1000));
  // And the rest of a block whose pages were moved.
  constexpr size_t kSize = 40 << 20;
  auto* block = static_cast<uint8_t*>(malloc(kSize));
  OK(cuMemHostRegister_v2(block, kSize - 100, 0));
  OK(cuMemHostRegister_v2(block + kSize - 100, 100, 0));
  round_trip(block + kSize - 100, 100);
  round_trip(block, kSize - 100);
  EXPECT_EQ(0x5a, block[kSize - 1]);
  OK(cuMemHostUnregister(block));
  round_trip(block + kSize - 100, 100);
  OK(cuMemHostUnregister(block + kSize - 100));
  free(block);
  munmap(p, 2 * kPage);
}

TEST_F(Registered, NothingIsRegisteredTwice) {
  uint8_t* p = map(8 * kPage);
  OK(cuMemHostRegister_v2(p + 2 * kPage, 2 * kPage, 0));
  FAILS(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, cuMemHostRegister_v2(p + 2 * kPage, kPage, 0));
  FAILS(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, cuMemHostRegister_v2(p, 3 * kPage, 0));
  FAILS(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, cuMemHostRegister_v2(p + 3 * kPage, 3 * kPage, 0));
  FAILS(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, cuMemHostRegister_v2(p, 8 * kPage, 0)) << "one within";
  OK(cuMemHostRegister_v2(p, 2 * kPage, 0));
  OK(cuMemHostRegister_v2(p + 4 * kPage, 2 * kPage, 0));
  round_trip(p, 2 * kPage);
  round_trip(p + 2 * kPage, 2 * kPage);
  round_trip(p + 4 * kPage, 2 * kPage);
  for (int i : {0, 4, 2}) OK(cuMemHostUnregister(p + i * kPage));
  EXPECT_FALSE(is_shared(p + 3 * kPage));
  munmap(p, 8 * kPage);
}

TEST_F(Registered, AForkedChildHasACopyOfItsOwn) {
  constexpr size_t kSize = 3 << 20;
  uint8_t* p = map(kSize);
  uint8_t* later = map(kSize);  // registered before, given back
  OK(cuMemHostRegister_v2(later, kSize, 0));
  fill_with(p, kSize, 5);
  fill_with(later, kSize, 6);
  OK(cuMemHostRegister_v2(p, kSize, 0));
  OK(cuMemHostUnregister(later));
  int go[2], done[2];
  ASSERT_EQ(0, pipe(go));
  ASSERT_EQ(0, pipe(done));
  const pid_t child = fork();
  if (child == 0) {
    char byte;
    bool right = ::read(go[0], &byte, 1) == 1;  // the parent has written meanwhile
    for (size_t i = 0; i < kSize && right; i++) {
      right = p[i] == pattern(i + 5) && later[i] == pattern(i + 6);
      if (!right) fprintf(stderr, "%zu: %d %d\n", i, p[i], later[i]);
    }
    memset(p, 1, kSize);
    memset(later, 1, kSize);
    right = right && write(done[1], "", 1) == 1 && ::read(go[0], &byte, 1) == 1;
    _exit(right && p[kSize - 1] == 1 && !is_shared(p) ? 0 : 1);
  }
  close(done[1]);
  memset(p, 2, kSize);
  memset(later, 2, kSize);
  ASSERT_EQ(1, write(go[1], "", 1));
  char byte;
  ASSERT_EQ(1, ::read(done[0], &byte, 1));
  for (size_t i = 0; i < kSize; i++) ASSERT_EQ(2, p[i] & later[i] & 3) << i;
  round_trip(p, kSize);
  ASSERT_EQ(1, write(go[1], "", 1));
  int status = -1;
  ASSERT_EQ(child, waitpid(child, &status, 0));
  EXPECT_EQ(0, status);
  EXPECT_EQ(moves(), is_shared(p)) << "the parent goes on as before";
  OK(cuMemHostUnregister(p));
  for (int fd : {go[0], go[1], done[0]}) close(fd);
  munmap(p, kSize);
  munmap(later, kSize);
}

TEST_F(Registered, AChildOfAChildToo) {
  uint8_t* p = map(4 * kPage);
  fill_with(p, 4 * kPage, 1);
  OK(cuMemHostRegister_v2(p, 4 * kPage, 0));
  ASSERT_EQ(0, mprotect(p + kPage, kPage, PROT_READ));
  EXPECT_TRUE(in_child([&] {
    p[0] = 77;
    return in_child([&] { return p[0] == 77 && p[kPage] == pattern(kPage + 1); }) &&
           p[3 * kPage] == pattern(3 * kPage + 1);
  }));
  EXPECT_EQ(pattern(1), p[0]);
  OK(cuMemHostUnregister(p));
  for (size_t i = 0; i < 4 * kPage; i++) ASSERT_EQ(pattern(i + 1), p[i]) << i;
  munmap(p, 4 * kPage);
}

// Afterwards it is ordinary memory again: what allocators do with it works.
TEST_F(Registered, AfterwardsItIsOrdinaryMemory) {
  constexpr size_t kSize = 32 * kPage;
  uint8_t* p = map(kSize);
  memset(p, 1, kSize);
  OK(cuMemHostRegister_v2(p, kSize, 0));
  memset(p, 2, kSize);
  OK(cuMemHostUnregister(p));
  EXPECT_TRUE(in_child([&] { return p[5] == 2 && (memset(p, 3, kSize), true); }));
  EXPECT_EQ(2, p[5]);
  ASSERT_EQ(0, madvise(p, 16 * kPage, MADV_DONTNEED));
  for (size_t i = 0; i < kSize; i++) ASSERT_EQ(i < 16 * kPage ? 0 : 2, p[i]) << i;
  auto* larger = static_cast<uint8_t*>(mremap(p, kSize, 4 * kSize, MREMAP_MAYMOVE));
  ASSERT_NE(MAP_FAILED, static_cast<void*>(larger));
  EXPECT_EQ(2, larger[kSize - 1]);
  for (size_t i = kSize; i < 4 * kSize; i++) ASSERT_EQ(0, larger[i]) << i;
  round_trip(larger, 4 * kSize);  // pageable
  munmap(larger, 4 * kSize);
}

TEST_F(Registered, TheProgramMovesItWhileItIsRegistered) {
  if (!moves()) GTEST_SKIP() << "a mirror is read where it was registered";
  constexpr size_t kSize = 32 * kPage;
  uint8_t* p = map(kSize);
  fill_with(p, kSize, 1);
  OK(cuMemHostRegister_v2(p, kSize, 0));
  auto* moved = static_cast<uint8_t*>(mremap(p, kSize, 2 * kSize, MREMAP_MAYMOVE));
  ASSERT_NE(MAP_FAILED, static_cast<void*>(moved));
  moved[2 * kSize - 1] = 5;
  EXPECT_EQ(0, moved[kSize]);
  EXPECT_TRUE(in_child([&] { return moved[0] == pattern(1) && moved[2 * kSize - 1] == 5; }));
  OK(cuMemHostUnregister(p));
  EXPECT_FALSE(is_shared(moved));
  for (size_t i = 0; i < kSize; i++) ASSERT_EQ(pattern(i + 1), moved[i]) << i;
  EXPECT_EQ(5, moved[2 * kSize - 1]);
  munmap(moved, 2 * kSize);
}

TEST_F(Registered, SomethingElseLiesThereWhenItIsUnregistered) {
  if (!moves()) GTEST_SKIP() << "a mirror is read where it was registered";
  constexpr size_t kSize = 8 * kPage;
  uint8_t* p = map(kSize);
  memset(p, 1, kSize);
  OK(cuMemHostRegister_v2(p, kSize, 0));
  munmap(p, kSize);
  void* other = mmap(p, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  ASSERT_EQ(p, other);
  memset(p, 7, kSize);
  OK(cuMemHostUnregister(p));
  for (size_t i = 0; i < kSize; i++) ASSERT_EQ(7, p[i]) << i;
  munmap(p, kSize);
}

TEST_F(Registered, AgainAndAgain) {
  constexpr size_t kSize = 64 * kPage;
  uint8_t* p = map(kSize);
  for (uint8_t round = 1; round <= 100; round++) {
    OK(cuMemHostRegister_v2(p, kSize, 0));
    ASSERT_EQ(moves(), is_shared(p)) << int{round};
    OK(cuMemsetD8_v2(device_pointer(p), round, kSize));
    OK(cuCtxSynchronize());
    OK(cuMemHostUnregister(p));
    ASSERT_EQ(round, p[kSize - 1]);
  }
  munmap(p, kSize);
}

TEST_F(Registered, ItsContextEndsFirst) {
  uint8_t* p = map(8 * kPage);
  OK(cuMemHostRegister_v2(p, 8 * kPage, 0));
  memset(p, 4, 8 * kPage);
  OK(cuDevicePrimaryCtxReset_v2(device_));
  EXPECT_FALSE(is_shared(p));
  for (size_t i = 0; i < 8 * kPage; i++) ASSERT_EQ(4, p[i]);
  munmap(p, 8 * kPage);
}

// Memory that the program shares with other processes anyway: the device works on it for all of them.
TEST_F(Registered, MemoryOfAFileThatIsSharedAlready) {
  constexpr size_t kSize = 300 * kPage;
  const int file = memfd_create("test", MFD_CLOEXEC);
  ASSERT_EQ(0, ftruncate(file, kSize + kPage));
  auto map_it = [&] {
    return static_cast<uint8_t*>(mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, file, kPage));
  };
  uint8_t *p = map_it(), *other = map_it();
  fill_with(p, kSize, 1);
  OK(cuMemHostRegister_v2(p + 100, kSize - 200, 0));
  round_trip(p + 100, kSize - 200);
  EXPECT_EQ(pattern(1), other[0]);
  EXPECT_EQ(0x5a, other[100]);
  other[kSize / 2] = 3;
  EXPECT_EQ(3, p[kSize / 2]);
  if (moves()) {  // and not only at waits
    OK(cuMemsetD8Async(device_pointer(p + 100), 9, 1, stream_));
    while (__atomic_load_n(&other[100], __ATOMIC_ACQUIRE) != 9) usleep(100);
  }
  OK(cuMemHostUnregister(p + 100));
  EXPECT_TRUE(is_shared(p));
  other[7] = 8;
  EXPECT_EQ(8, p[7]);
  munmap(p, kSize);
  munmap(other, kSize);
  close(file);
}

TEST_F(Registered, MemoryOfAFileThatIsOnlyFoundByItsName) {
  const std::string name = "/nearmetal-test-" + std::to_string(getpid());
  const int file = shm_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  if (file < 0 || ftruncate(file, 16 * kPage) != 0) GTEST_SKIP() << "no /dev/shm";
  void* p = mmap(nullptr, 16 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  auto* other = static_cast<uint8_t*>(mmap(nullptr, 16 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
  close(file);
  OK(cuMemHostRegister_v2(p, 16 * kPage, 0));
  if (moves()) {
    OK(cuMemsetD8Async(device_pointer(p), 9, 1, stream_));
    while (__atomic_load_n(&other[0], __ATOMIC_ACQUIRE) != 9) usleep(100);
  }
  round_trip(static_cast<uint8_t*>(p), 16 * kPage);
  EXPECT_EQ(0x5a, other[16 * kPage - 1]);
  OK(cuMemHostUnregister(p));
  munmap(p, 16 * kPage);
  munmap(other, 16 * kPage);
  shm_unlink(name.c_str());
}

TEST_F(Registered, MemoryThatIsOnlyRead) {
  uint8_t* p = map(4 * kPage);
  fill_with(p, 4 * kPage, 1);
  mprotect(p, 4 * kPage, PROT_READ);
  OK(cuMemHostRegister_v2(p, 4 * kPage, CU_MEMHOSTREGISTER_READ_ONLY));
  CUdeviceptr there;
  OK(cuMemAlloc_v2(&there, 4 * kPage));
  OK(cuMemcpyHtoDAsync_v2(there, p, 4 * kPage, stream_));
  OK(cuStreamSynchronize(stream_));
  EXPECT_EQ(pattern(4 * kPage), read<uint8_t>(there, 4 * kPage).back());
  OK(cuMemHostUnregister(p));
  munmap(p, 4 * kPage);
}

// The graph's copy goes by way of a slot; what comes later goes the same way, so that the two do not pass one another.
TEST_F(Registered, AGraphThatWasMadeBeforeSeesWhatCopiesBring) {
  constexpr size_t kSize = 16 * kPage;
  uint8_t* p = map(kSize);
  CUdeviceptr from, to;
  OK(cuMemAlloc_v2(&from, kSize));
  OK(cuMemAlloc_v2(&to, kSize));
  CUgraph graph;
  CUgraphExec exec;
  OK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_RELAXED));
  OK(cuMemcpyHtoDAsync_v2(to, p, kSize, stream_));
  OK(cuStreamEndCapture(stream_, &graph));
  OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
  OK(cuMemHostRegister_v2(p, kSize, 0));
  for (uint8_t round = 1; round <= 30; round++) {
    OK(cuMemsetD8Async(from, round, kSize, stream_));
    OK(cuMemcpyDtoHAsync_v2(p, from, kSize, stream_));
    OK(cuGraphLaunch(exec, stream_));
    OK(cuStreamSynchronize(stream_));
    ASSERT_EQ(round, read<uint8_t>(to, kSize).back());
    ASSERT_EQ(round, p[kSize - 1]);
  }
  OK(cuGraphExecDestroy(exec));
  OK(cuGraphDestroy(graph));
  OK(cuMemHostUnregister(p));
  munmap(p, kSize);
}

// No write is lost while pages are moved and given back: not of other threads, not of system calls, not of signal
// handlers.
TEST_F(Registered, ThreadsWriteMeanwhile) {
  constexpr size_t kSize = 20 << 20, kWriters = 3;
  auto* p = map(kSize);
  std::atomic<bool> stop{false};
  std::vector<uint64_t> counts(kWriters);
  std::vector<std::thread> threads;
  // Each adds to words of its own all over the pages.
  for (size_t w = 0; w < kWriters; w++) {
    threads.emplace_back([&, w] {
      for (uint64_t n = 0; !stop; n++) {
        auto* word = reinterpret_cast<uint64_t*>(p + (n * 7 % (kSize / kPage)) * kPage) + w;
        const uint64_t before = *word;
        *word = before + 1;
        if (*static_cast<volatile uint64_t*>(word) != before + 1) abort();
        counts[w]++;
      }
    });
  }
  // And one lets the kernel write.
  int ends[2];
  ASSERT_EQ(0, pipe(ends));
  uint64_t sent = 0;
  std::thread reader([&] {
    for (; !stop; sent++) {
      uint64_t* word = reinterpret_cast<uint64_t*>(p + (sent * 13 % (kSize / kPage)) * kPage) + kWriters;
      const uint64_t next = *word + 1;
      if (write(ends[1], &next, sizeof next) != sizeof next || ::read(ends[0], word, sizeof next) != sizeof next)
        abort();
    }
  });
  for (int i = 0; i < 20; i++) {
    OK(cuMemHostRegister_v2(p, kSize, 0));
    OK(cuMemHostUnregister(p));
  }
  stop = true;
  for (auto& t : threads) t.join();
  reader.join();
  std::vector<uint64_t> found(kWriters + 1);
  for (size_t page = 0; page < kSize; page += kPage) {
    for (size_t w = 0; w <= kWriters; w++) found[w] += reinterpret_cast<uint64_t*>(p + page)[w];
  }
  for (size_t w = 0; w < kWriters; w++) EXPECT_EQ(counts[w], found[w]) << w;
  EXPECT_EQ(sent, found[kWriters]);
  EXPECT_GT(sent, 0u);
  for (int fd : ends) close(fd);
  munmap(p, kSize);
}

TEST_F(Registered, ThreadsForkMeanwhile) {
  constexpr size_t kSize = 4 << 20;
  auto* p = map(kSize);
  memset(p, 6, kSize);
  std::atomic<bool> stop{false};
  int wrong = 0, forks = 0;
  std::thread forker([&] {
    for (; !stop || forks < 3; forks++) {
      wrong += !in_child([&] { return p[0] == 6 && p[kSize / 2] == 6 && (memset(p, 1, kSize), p[kSize - 1] == 1); });
    }
  });
  for (int i = 0; i < 40; i++) {
    OK(cuMemHostRegister_v2(p, kSize, 0));
    OK(cuMemHostUnregister(p));
  }
  stop = true;
  forker.join();
  EXPECT_EQ(0, wrong);
  for (size_t i = 0; i < kSize; i++) ASSERT_EQ(6, p[i]) << i;
  munmap(p, kSize);
}

// Who reads a file past the page cache writes to pages by their place in the machine: those are not moved.
TEST_F(Registered, PagesThatAnotherMayHoldStayWhereTheyAre) {
  char name[] = "/tmp/registered_test.XXXXXX";
  const int file = mkstemp(name);
  ASSERT_GE(file, 0);
  unlink(name);
  if (fcntl(file, F_SETFL, O_DIRECT) != 0) GTEST_SKIP() << "no file here is read so";
  uint8_t* p = map(4 * kPage);
  OK(cuMemHostRegister_v2(p, 4 * kPage, 0));
  EXPECT_FALSE(is_shared(p));
  round_trip(p, 4 * kPage);
  OK(cuMemHostUnregister(p));
  close(file);
  munmap(p, 4 * kPage);
}

}  // namespace
