// A server that lies: whatever it answers, nothing is written beyond what the program offered.
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <thread>

#include "base/fd.h"
#include "base/version.h"
#include "nvml_test.h"
#include "wire/codec.h"
#include "wire/hello.h"
#include "wire/record.h"
#include "wire/ring_stream.h"

namespace {

using namespace nm;

// Welcomes everybody, agrees to nvmlInit, and answers everything else with whatever comes to its mind.
class Liar {
 public:
  explicit Liar(unsigned seed) : random_(seed) {
    path_ = "/tmp/nm-nvml-liar-" + std::to_string(getpid());
    unlink(path_.c_str());
    sockaddr_un address{AF_UNIX, ""};
    strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    listener_.reset(socket(AF_UNIX, SOCK_STREAM, 0));
    EXPECT_EQ(0, bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address));
    EXPECT_EQ(0, listen(listener_.get(), 8));
    setenv("NEARMETAL_SERVER", ("unix:" + path_).c_str(), 1);
    thread_ = std::thread([this] {
      for (;;) {
        Fd client(accept(listener_.get(), nullptr, nullptr));
        if (!client) return;
        serve(client.get());
      }
    });
  }
  ~Liar() {
    shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    unlink(path_.c_str());
  }
  int told = 0;

 private:
  static bool receive(int fd, void* to, size_t size) {
    return size == 0 || recv(fd, to, size, MSG_WAITALL) == static_cast<ssize_t>(size);
  }
  void serve(int fd) {
    wire::Hello hello;
    if (!receive(fd, &hello, sizeof hello)) return;
    wire::Welcome welcome;
    strncpy(welcome.version, NM_VERSION, sizeof welcome.version - 1);
    send(fd, &welcome, sizeof welcome, MSG_NOSIGNAL);
    wire::TransportOffer offer;
    if (!receive(fd, &offer, sizeof offer)) return;
    wire::TransportAnswer socket;
    send(fd, &socket, sizeof socket, MSG_NOSIGNAL);
    for (bool first = true;; first = false) {
      wire::RecordHeader record;
      if (!receive(fd, &record, sizeof record)) return;
      std::vector<uint8_t> body(record.size - sizeof record);
      if (!receive(fd, body.data(), body.size())) return;
      wire::ReplyHeader reply{};
      reply.sequence = record.sequence;
      std::vector<uint8_t> answer;
      if (!first) {
        answer = invent();
        told++;
        if (random_() % 4 == 0) reply.result = NVML_ERROR_INSUFFICIENT_SIZE;
      }
      reply.size = static_cast<uint32_t>(sizeof reply + answer.size());
      answer.insert(answer.begin(), reinterpret_cast<uint8_t*>(&reply), reinterpret_cast<uint8_t*>(&reply + 1));
      send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
    }
  }
  std::vector<uint8_t> invent() {
    std::vector<uint8_t> out;
    wire::Writer w(out);
    for (unsigned n = random_() % 5; n > 0; n--) {
      const uint64_t sizes[] = {0, 8, 13, 16, 24, 40, 64, 68, 72, 4096, ~0ull, 1ull << 40};
      switch (random_() % 3) {
        case 0:
          w.u64(sizes[random_() % std::size(sizes)]);
          break;
        case 1:
          w.u64(random_() % 64);
          break;
        default: {
          std::vector<uint8_t> block(sizes[random_() % 10], 0x5a);
          w.bytes(block.data(), block.size());
        }
      }
    }
    if (random_() % 6 == 0 && !out.empty()) out.resize(random_() % out.size());
    return out;
  }

  std::mt19937 random_;
  std::string path_;
  Fd listener_;
  std::thread thread_;
};

// Something to be filled, and what follows it.
template <typename T>
struct Guarded {
  T value{};
  unsigned char behind[256];
  Guarded() { memset(behind, 0xc3, sizeof behind); }
  bool intact() const {
    return std::all_of(behind, behind + sizeof behind, [](unsigned char b) { return b == 0xc3; });
  }
};

TEST(HostileServer, NothingIsWrittenBeyondWhatTheProgramOffers) {
  Liar liar(20580);
  const auto device = reinterpret_cast<nvmlDevice_t>(0x4e00000080000000ull);
  int answered = 0;
  for (int round = 0; round < 400; round++) {
    OK(nvmlInit_v2());
    Guarded<char[16]> text;
    Guarded<nvmlPciInfo_t> pci;
    Guarded<nvmlMemory_v2_t> memory;
    memory.value.version = nvmlMemory_v2_tag;
    Guarded<nvmlProcessInfo_t[2]> processes;
    Guarded<nvmlFieldValue_t[3]> fields;
    Guarded<unsigned long[2]> cpus;
    Guarded<nvmlDevice_t[2]> devices;
    Guarded<unsigned> number;
    unsigned room = 2, none = 0;
    nvmlReturn_t results[] = {
        nvmlDeviceGetName(device, text.value, sizeof text.value),
        nvmlDeviceGetPciInfo_v3(device, &pci.value),
        nvmlDeviceGetMemoryInfo_v2(device, &memory.value),
        nvmlDeviceGetComputeRunningProcesses_v3(device, &room, processes.value),
        nvmlDeviceGetComputeRunningProcesses_v3(device, &none, nullptr),
        nvmlDeviceGetFieldValues(device, 3, fields.value),
        nvmlDeviceGetCpuAffinity(device, 2, cpus.value),
        nvmlSystemGetTopologyGpuSet(0, &(room = 2), devices.value),
        nvmlDeviceGetIndex(device, &number.value),
    };
    for (nvmlReturn_t r : results) answered += r != NVML_ERROR_UNKNOWN;
    ASSERT_TRUE(text.intact() && pci.intact() && memory.intact() && processes.intact() && fields.intact() &&
                cpus.intact() && devices.intact() && number.intact())
        << "round " << round;
    OK(nvmlShutdown());
  }
  EXPECT_GT(liar.told, 400);
  EXPECT_GT(answered, 100) << "some of its lies must have been well-formed, or this tests nothing";
}

}  // namespace
