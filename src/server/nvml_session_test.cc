// The NVML session against a client that sends nonsense. The library behind it is tests/nvml/fake_nvml.cc.
#include "server/nvml_session.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "server/nvml_support.h"

namespace nm::server {
namespace {

constexpr uint16_t kInit = 1;  // nm_nvml_init in api/nvml.toml

struct Answer {
  Outcome outcome;
  nvmlReturn_t result;
  std::vector<uint8_t> body;
};

class NvmlSessionTest : public testing::Test {
 protected:
  NvmlSessionTest() : state_(load_nvml(NM_FAKE_NVML)) {
    EXPECT_TRUE(state_->has_library);
    EXPECT_EQ(NVML_SUCCESS, ask(kInit, {0}).result);
  }

  Answer ask(uint16_t op, const std::vector<uint64_t>& words) {
    return ask_bytes(op, {reinterpret_cast<const uint8_t*>(words.data()), words.size() * 8});
  }
  Answer ask_bytes(uint16_t op, std::span<const uint8_t> body) {
    Answer a;
    a.outcome = handle_nvml(*state_, op, body, &a.body, &a.result);
    return a;
  }
  uint64_t device(unsigned index) {
    nvmlDevice_t d = nullptr;
    state_->driver.nvmlDeviceGetHandleByIndex_v2(index, &d);
    return state_->device.virtual_of(d);
  }
  // The number of an operation, which is found by what it does: the tests name none but the first.
  template <typename F>
  uint16_t find_op(const std::vector<uint64_t>& words, F&& fits) {
    for (uint16_t op = 1; nvml_handler_of(op); op++) {
      Answer a = ask(op, words);
      if (a.outcome == Outcome::done && a.result == NVML_SUCCESS && fits(a)) return op;
    }
    ADD_FAILURE() << "no operation answers so";
    return 0;
  }

  std::unique_ptr<NvmlState> state_;
};

TEST_F(NvmlSessionTest, AnUnknownOperationEndsTheSession) {
  uint16_t op = 1;
  while (nvml_handler_of(op)) op++;
  EXPECT_GT(op, 200);
  for (uint16_t unknown : {uint16_t{0}, op, uint16_t{0xffff}})
    EXPECT_EQ(Outcome::protocol_error, ask(unknown, {}).outcome);
}

TEST_F(NvmlSessionTest, TooFewAndTooManyBytesEndTheSession) {
  EXPECT_EQ(Outcome::protocol_error, ask(kInit, {}).outcome);
  EXPECT_EQ(Outcome::protocol_error, ask(kInit, {0, 0}).outcome);
}

TEST_F(NvmlSessionTest, AListLongerThanTheLimitIsNeverAllocated) {
  const uint64_t d = device(0);
  const uint16_t processes = find_op({d, 8, 1}, [](const Answer& a) { return a.body.size() == 8 + 8 + 3 * 24; });
  EXPECT_EQ(Outcome::done, ask(processes, {d, wire::kMaxNvmlElements, 1}).outcome);
  for (uint64_t count : {uint64_t{wire::kMaxNvmlElements} + 1, uint64_t{0xffffffff}}) {
    EXPECT_EQ(Outcome::protocol_error, ask(processes, {d, count, 1}).outcome) << count;
  }
}

TEST_F(NvmlSessionTest, AHandleThatWasNotGivenOutReachesNoDriver) {
  const uint64_t d = device(0);
  const uint16_t index = find_op({d}, [](const Answer& a) { return a.body.size() == 8; });
  const std::vector<uint64_t> invented = {d + 1000,         d ^ 1ul << 48,  d ^ 1ul << 32,
                                          d & ~(1ul << 31), 0x7f0000001000, ~0ul};
  for (uint64_t h : invented) {
    Answer a = ask(index, {h});
    EXPECT_EQ(NVML_ERROR_INVALID_ARGUMENT, a.result) << std::hex << h;
    EXPECT_TRUE(a.body.empty());
  }
}

// Every operation, with bodies made of what might hurt. It must come back; what it says is its own affair.
TEST_F(NvmlSessionTest, NothingThatAClientSendsBringsItDown) {
  std::mt19937 random(2580);
  const std::vector<uint64_t> words = {0,
                                       1,
                                       2,
                                       3,
                                       8,
                                       16,
                                       40,
                                       68,
                                       0x10000,
                                       0x10001,
                                       0xffffffff,
                                       ~uint64_t{0},
                                       device(0),
                                       device(1),
                                       device(0) + 1,
                                       nvmlMemory_v2_tag,
                                       nvmlGpuFabricInfo_v3_tag};
  uint64_t done = 0, refused = 0;
  std::vector<uint8_t> body;
  for (uint16_t op = 1; nvml_handler_of(op); op++) {
    for (int round = 0; round < 300; round++) {
      body.clear();
      wire::Writer w(body);
      for (unsigned n = random() % 6; n > 0; n--) {
        if (random() % 8 == 0) {
          std::vector<uint8_t> block(random() % 64);
          for (auto& b : block) b = static_cast<uint8_t>(random());
          w.bytes(block.data(), block.size());
        } else {
          w.u64(words[random() % words.size()]);
        }
      }
      if (random() % 8 == 0 && !body.empty()) body.resize(random() % body.size());
      // A copy of exactly that size, so that a sanitizer sees a read behind it.
      std::vector<uint8_t> exact(body.begin(), body.end());
      exact.shrink_to_fit();
      (ask_bytes(op, exact).outcome == Outcome::done ? done : refused)++;
    }
  }
  EXPECT_GT(done, 1000u);
  EXPECT_GT(refused, 1000u);
}

int made_in_the_library() {
  void* library = dlopen(NM_FAKE_NVML, RTLD_NOW | RTLD_NOLOAD);
  auto* made = reinterpret_cast<int (*)()>(dlsym(library, "fake_nvml_made"));
  return made ? made() : -1;
}

TEST_F(NvmlSessionTest, SetsOfEventsAreFewAndTheEndOfTheSessionFreesThem) {
  const int before = made_in_the_library();
  nvmlReturn_t result = NVML_SUCCESS;
  nvmlEventSet_t set = nullptr;
  int sets = 0;
  for (; sets < 1000 && (result = nvml_hand::nvmlEventSetCreate(*state_, &set)) == NVML_SUCCESS; sets++) {
  }
  EXPECT_EQ(NVML_ERROR_INSUFFICIENT_RESOURCES, result);
  EXPECT_GE(sets, 16);
  EXPECT_EQ(before + sets, made_in_the_library());
  EXPECT_EQ(NVML_SUCCESS, nvml_hand::nvmlEventSetFree(*state_, set));
  EXPECT_EQ(before + sets - 1, made_in_the_library());
  EXPECT_EQ(NVML_SUCCESS, nvml_hand::nvmlEventSetCreate(*state_, &set)) << "there is room again";
  nvmlGpmSample_t sample = nullptr;
  EXPECT_EQ(NVML_SUCCESS, nvml_hand::nvmlGpmSampleAlloc(*state_, &sample));
  state_.reset();
  EXPECT_EQ(before, made_in_the_library());
}

TEST_F(NvmlSessionTest, RegistrationsOfASetAreFew) {
  nvmlEventSet_t set = nullptr;
  nvmlDevice_t gpu = nullptr;
  state_->driver.nvmlDeviceGetHandleByIndex_v2(0, &gpu);
  ASSERT_EQ(NVML_SUCCESS, nvml_hand::nvmlEventSetCreate(*state_, &set));
  nvmlReturn_t result = NVML_SUCCESS;
  for (int i = 0; i < 10000 && result == NVML_SUCCESS; i++) {
    result = nvml_hand::nvmlDeviceRegisterEvents(*state_, gpu, 8, set);
  }
  EXPECT_EQ(NVML_ERROR_INSUFFICIENT_RESOURCES, result);
}

TEST_F(NvmlSessionTest, NoWaitKeepsTheWorkerForLong) {
  nvmlEventSet_t set = nullptr;
  ASSERT_EQ(NVML_SUCCESS, nvml_hand::nvmlEventSetCreate(*state_, &set));
  nvmlEventData_t data{};
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(NVML_ERROR_TIMEOUT, nvml_hand::nm_event_set_wait(*state_, set, 60000, &data));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(NvmlWithoutLibrary, EveryInitIsTold) {
  for (const char* path : {"", "/nonexistent/libnvidia-ml.so.1", "libm.so.6"}) {
    auto state = load_nvml(path);
    std::vector<uint8_t> reply;
    nvmlReturn_t result;
    const uint64_t flags = 0;
    EXPECT_EQ(Outcome::done,
              handle_nvml(*state, kInit, {reinterpret_cast<const uint8_t*>(&flags), 8}, &reply, &result));
    EXPECT_EQ(NVML_ERROR_LIBRARY_NOT_FOUND, result) << path;
  }
}

}  // namespace
}  // namespace nm::server
