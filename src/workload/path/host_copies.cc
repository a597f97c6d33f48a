// HostCopies: copies to the device, from it, and both at once, of pinned and of pageable memory, by size: rates of
// copies queued one behind the other (the two directions at once by two threads with a stream each), and for small ones
// the time that one takes, until the host knows that it is done. Bound by the bus and, for pageable memory, by how the
// driver stages it.
//
// The data is a pattern that tells where each word belongs, made where the copy begins and looked at where it ends:
// stale, shifted or lacking bytes are seen, and bytes written behind the end.
#include <algorithm>
#include <barrier>
#include <exception>
#include <functional>
#include <memory>
#include <thread>

#include "workload/path/programs.h"
#include "workload/pattern.h"
#include "workload/timing.h"

namespace nm::workload::path {
namespace {

constexpr uint32_t kPoison = 0xdeadbeef;
constexpr size_t kGuard = 64;  // bytes behind a copy's end that must stay as they are

// One direction's memory on both sides.
class Side {
 public:
  Side(device::Device& device, bool to_device, bool pinned, size_t largest, uint32_t salt)
      : device_(device), to_device_(to_device), salt_(salt), buffer_(device.allocate(largest + kGuard)) {
    if (pinned) {
      pinned_ = device.allocate_pinned(largest + kGuard);
      host_ = pinned_.as<uint32_t>();
    } else {
      pageable_.resize((largest + kGuard) / 4);
      host_ = pageable_;
    }
    if (to_device_) {
      fill_pattern(host_, salt_);
    } else {
      device_.launch(device_.kernel("pattern", "u32", "fill_pattern"), {256}, {256}, buffer_,
                     static_cast<uint32_t>(host_.size()), salt_);
      device_.finish();
    }
  }

  // Nothing of the pattern is left where the copies end.
  void prepare(size_t bytes) {
    if (to_device_) {
      device_.fill(buffer_, 0, kPoison, bytes + kGuard);
      device_.finish();
    } else {
      std::fill_n(host_.begin(), (bytes + kGuard) / 4, kPoison);
    }
  }

  void copy(size_t bytes, bool wait) {
    if (to_device_) {
      device_.write(buffer_, 0, host_.data(), bytes, wait);
    } else {
      device_.read(buffer_, 0, host_.data(), bytes, wait);
    }
  }
  void copies(size_t bytes, int count) {
    for (int i = 0; i < count; ++i) copy(bytes, false);
    device_.finish();
  }

  size_t wrong(size_t bytes) {
    size_t found = 0;
    uint32_t guard[kGuard / 4];
    if (to_device_) {
      const device::Buffer counter = device_.allocate(4);
      device_.fill(counter, 0, 0, 4);
      device_.launch(device_.kernel("pattern", "u32", "count_wrong"), {256}, {256}, buffer_, counter,
                     static_cast<uint32_t>(bytes / 4), salt_);
      found = device_.download<uint32_t>(counter, 1)[0];
      device_.read(buffer_, bytes, guard, kGuard);
    } else {
      found = count_wrong(host_.first(bytes / 4), salt_);
      std::copy_n(&host_[bytes / 4], std::size(guard), guard);
    }
    return found + static_cast<size_t>(std::count_if(std::begin(guard), std::end(guard),
                                                     [](uint32_t word) { return word != kPoison; }));
  }

 private:
  device::Device& device_;
  bool to_device_;
  uint32_t salt_;
  device::Buffer buffer_;
  device::PinnedMemory pinned_;
  std::vector<uint32_t> pageable_;
  std::span<uint32_t> host_;
};

// A second thread with its own way to the device, which ends after the thread, and after what is declared behind this.
class Partner {
 public:
  explicit Partner(device::Device& device) : thread_([this, &device] { work(device); }) {}
  ~Partner() {
    task_ = nullptr;
    meet_.arrive_and_wait();
    thread_.join();
  }
  // `own` here and `theirs` there, at the same time; what it took until both were done.
  double together(const std::function<void()>& own, const std::function<void(device::Device&)>& theirs) {
    task_ = theirs;
    meet_.arrive_and_wait();
    std::exception_ptr failure;
    const double seconds = seconds_of([&] {
      try {
        own();
      } catch (...) {
        failure = std::current_exception();
      }
      meet_.arrive_and_wait();
    });
    if (failure_) failure = failure_;
    if (failure) std::rethrow_exception(failure);
    return seconds;
  }

 private:
  void work(device::Device& device) {
    for (;;) {
      meet_.arrive_and_wait();
      if (!task_) return;
      try {
        if (!way_) way_ = device.another();
        task_(*way_);
      } catch (...) {
        failure_ = std::current_exception();
      }
      meet_.arrive_and_wait();
    }
  }

  std::barrier<> meet_{2};
  std::function<void(device::Device&)> task_;  // changed only while the thread waits
  std::exception_ptr failure_;
  std::unique_ptr<device::Device> way_;
  std::thread thread_;
};

struct Plan {
  Run& run;
  size_t largest;
  size_t batch;  // bytes of a row of copies

  int passes(size_t bytes) const { return bytes >= 256 << 20 ? std::min(run.passes(), 3) : run.passes(); }
  int count(size_t bytes) const { return static_cast<int>(std::clamp<size_t>(batch / bytes, 1, 64)); }
  void report(const std::string& series, size_t bytes, double moved, const std::vector<double>& seconds) const {
    run.sample({series + "/" + text_of(bytes), "GB/s", true, true, series, static_cast<double>(bytes), "B"},
               rates(moved / 1e9, seconds));
  }
};

void one_way(const Plan& plan, bool to_device, bool pinned) {
  Run& run = plan.run;
  const std::string series = std::string(to_device ? "h2d_" : "d2h_") + (pinned ? "pinned" : "pageable");
  Side side(run.device(), to_device, pinned, plan.largest, static_cast<uint32_t>(run.random()()));
  size_t wrong = 0;
  for (size_t bytes = 4; bytes <= plan.largest; bytes *= 4) {
    side.prepare(bytes);
    if (bytes <= 64 << 10) {
      const int calls = run.pick(16, 64, 64);
      const std::string latency = series + "_latency";
      run.sample({latency + "/" + text_of(bytes), "us", false, true, latency, static_cast<double>(bytes), "B"},
                 each_pass(plan.passes(bytes), [&] {
                   std::vector<double> each;
                   for (int i = 0; i < calls; ++i) each.push_back(seconds_of([&] { side.copy(bytes, true); }));
                   return 1e6 * median(each);
                 }));
    }
    const int count = plan.count(bytes);
    plan.report(series, bytes, static_cast<double>(bytes) * count,
                each_pass(plan.passes(bytes), [&] { return seconds_of([&] { side.copies(bytes, count); }); }));
    wrong += side.wrong(bytes);
  }
  run.check(series + ": wrong words", static_cast<double>(wrong), 0);
}

void both_ways(const Plan& plan, bool pinned) {
  Run& run = plan.run;
  const std::string series = std::string("both_") + (pinned ? "pinned" : "pageable");
  const auto salt = static_cast<uint32_t>(run.random()());
  Side down(run.device(), true, pinned, plan.largest, salt);
  Partner partner(run.device());
  std::unique_ptr<Side> up;
  partner.together([] {},
                   [&](device::Device& way) { up = std::make_unique<Side>(way, false, pinned, plan.largest, ~salt); });
  size_t wrong = 0;
  for (size_t bytes = 64 << 10; bytes <= plan.largest; bytes *= 4) {
    partner.together([&] { down.prepare(bytes); }, [&](device::Device&) { up->prepare(bytes); });
    const int count = plan.count(bytes);
    plan.report(series, bytes, 2.0 * static_cast<double>(bytes) * count, each_pass(plan.passes(bytes), [&] {
                  return partner.together([&] { down.copies(bytes, count); },
                                          [&](device::Device&) { up->copies(bytes, count); });
                }));
    size_t wrong_up = 0;
    partner.together([&] { wrong += down.wrong(bytes); }, [&](device::Device&) { wrong_up = up->wrong(bytes); });
    wrong += wrong_up;
  }
  run.check(series + ": wrong words", static_cast<double>(wrong), 0);
}

}  // namespace

void host_copies(Run& run) {
  const Plan plan{run, run.pick<size_t>(1 << 20, 64 << 20, 1 << 30), run.pick<size_t>(1 << 20, 64 << 20, 64 << 20)};
  for (const bool pinned : {true, false}) {
    one_way(plan, true, pinned);
    one_way(plan, false, pinned);
    both_ways(plan, pinned);
  }
}

}  // namespace nm::workload::path
