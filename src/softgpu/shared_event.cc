#include "softgpu/shared_event.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <thread>

namespace nm::softgpu {
namespace {

constexpr uint64_t kMagic = 0x3176652d67736d6e;  // "nmsg-ev1"
constexpr size_t kPageBytes = 4096;

struct Packed {
  uint64_t magic;
  int32_t pid;
  int32_t fd;
  uint64_t inode;  // a reused descriptor number must not pass for the event
};
static_assert(sizeof(Packed) <= sizeof(CUipcEventHandle));

bool alive(int pid) {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/%d", pid);
  return access(path, F_OK) == 0;
}

}  // namespace

class SharedFence final : public Fence {
 public:
  SharedFence(std::shared_ptr<SharedEvent> event, uint64_t number) : event_(std::move(event)), number_(number) {}
  bool done() override { return event_->page_->reached.load(std::memory_order_acquire) >= number_; }
  bool wait_for(int ms) override {
    // Nobody wakes us across processes; the interval is short against what another process's work takes.
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
    while (!done()) {
      if (std::chrono::steady_clock::now() >= until) {
        // A recorder that has died reaches nothing any more; whoever waits goes on.
        return done() || !alive(event_->page_->recorder);
      }
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    return true;
  }

 private:
  std::shared_ptr<SharedEvent> event_;
  uint64_t number_;
};

class SharedReach final : public Work {
 public:
  SharedReach(std::shared_ptr<SharedEvent> event, uint64_t number) : event_(std::move(event)), number_(number) {}
  ~SharedReach() override { reach(); }
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_EVENT_RECORD; }
  CUresult run(Context&) const override {
    reach();
    return CUDA_SUCCESS;
  }

 private:
  void reach() const {
    auto& reached = event_->page_->reached;
    uint64_t seen = reached;
    while (seen < number_ && !reached.compare_exchange_weak(seen, number_)) {
    }
  }
  std::shared_ptr<SharedEvent> event_;
  uint64_t number_;
};

std::shared_ptr<SharedEvent> SharedEvent::create() {
  Fd fd(memfd_create("nearmetal-softgpu-event", MFD_CLOEXEC));
  if (!fd || ftruncate(fd.get(), kPageBytes) != 0) return nullptr;
  void* page = mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (page == MAP_FAILED) return nullptr;
  return std::shared_ptr<SharedEvent>(new SharedEvent(std::move(fd), static_cast<Page*>(page)));
}

std::shared_ptr<SharedEvent> SharedEvent::open(const CUipcEventHandle& handle) {
  Packed packed;
  std::memcpy(&packed, &handle, sizeof packed);
  if (packed.magic != kMagic) return nullptr;
  char path[48];
  std::snprintf(path, sizeof path, "/proc/%d/fd/%d", packed.pid, packed.fd);
  Fd fd(::open(path, O_RDWR | O_CLOEXEC));
  struct stat file;
  if (!fd || fstat(fd.get(), &file) != 0 || file.st_ino != packed.inode || file.st_size != kPageBytes) return nullptr;
  void* page = mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (page == MAP_FAILED) return nullptr;
  return std::shared_ptr<SharedEvent>(new SharedEvent(std::move(fd), static_cast<Page*>(page)));
}

SharedEvent::~SharedEvent() { munmap(page_, kPageBytes); }

void SharedEvent::handle(CUipcEventHandle& out) const {
  struct stat file = {};
  fstat(fd_.get(), &file);
  const Packed packed{kMagic, getpid(), fd_.get(), file.st_ino};
  std::memset(&out, 0, sizeof out);
  std::memcpy(&out, &packed, sizeof packed);
}

WorkPtr SharedEvent::begin_record() {
  page_->recorder = getpid();
  return std::make_shared<SharedReach>(shared_from_this(), ++page_->recorded);
}

std::shared_ptr<Fence> SharedEvent::fence() {
  const uint64_t number = page_->recorded;
  return number ? std::make_shared<SharedFence>(shared_from_this(), number) : nullptr;
}

}  // namespace nm::softgpu
