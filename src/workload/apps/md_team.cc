#include "workload/apps/md_team.h"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cmath>
#include <exception>
#include <mutex>
#include <thread>

namespace nm::workload::apps {
namespace {

// What one thread tells the others between two barriers.
struct alignas(128) Slot {
  double farthest = 0;  // squared distance of its farthest atom from where lists were made
  double potential = 0, kinetic = 0;
};

class Team {
 public:
  Team(const OpenDevice& open, device::Device& pinned, const MdSystem& start, int threads, int legs, int steps,
       double dt, double hottest)
      : open_(open),
        pinned_(pinned),
        threads_(threads),
        legs_(legs),
        steps_(steps),
        dt_(dt),
        hottest_(hottest),
        self_energy_(self_energy(start)),
        slots_(static_cast<size_t>(threads)),
        barrier_(threads) {
    run_.last = start;
    run_.early = start.position;
  }

  MdRun run() {
    const auto bytes = static_cast<size_t>(run_.last.atoms) * sizeof(Float4);
    const device::PinnedMemory atoms = pinned_.allocate_pinned(bytes), far = pinned_.allocate_pinned(bytes);
    atoms_ = atoms.as<Float4>().data();
    far_ = far.as<Float4>().data();
    {
      std::vector<std::jthread> workers;
      for (int t = 0; t < threads_; ++t) workers.emplace_back([this, t] { work(t); });
    }
    if (failure_) std::rethrow_exception(failure_);
    return std::move(run_);
  }

 private:
  using Clock = std::chrono::steady_clock;

  // A thread that fails leaves, and the others with it at their next meeting.
  void work(int t) {
    try {
      share(t);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      failed_ = true;
      barrier_.arrive_and_drop();
    }
  }

  struct Left {};
  void meet() {
    barrier_.arrive_and_wait();
    if (failed_) throw Left();
  }

  void share(int t) {
    MdSystem& s = run_.last;
    const int first = static_cast<int>(static_cast<int64_t>(s.molecules) * t / threads_);
    const int count = static_cast<int>(static_cast<int64_t>(s.molecules) * (t + 1) / threads_) - first;
    const auto device = open_();
    MdDevice md(*device, s, 3 * first, 3 * count, t == 0);
    const device::PinnedMemory near = device->allocate_pinned(static_cast<size_t>(3 * count) * sizeof(Float4));
    std::vector<Vector3> force(static_cast<size_t>(3 * count)), listed(force.size());
    Slot& slot = slots_[static_cast<size_t>(t)];
    const size_t base = static_cast<size_t>(3 * first);

    const auto publish = [&] {
      slot.farthest = 0;
      for (size_t i = 0; i < force.size(); ++i) {
        atoms_[base + i] = device_atom(s, static_cast<int>(base + i));
        const Vector3 moved = s.position[base + i] - listed[i];
        slot.farthest = std::max(slot.farthest, dot(moved, moved));
      }
    };
    const auto compute = [&](bool first_time) {
      publish();
      meet();
      if (t == 0 && !first_time) add_up();
      double farthest = 0;
      for (const Slot& other : slots_) farthest = std::max(farthest, other.farthest);
      md.put(atoms_);
      // Until two atoms came nearer by the skin, no pair can be within the cutoff that is not in the lists.
      if (first_time || farthest > 0.25 * s.skin * s.skin) {
        md.build();
        std::copy_n(s.position.begin() + static_cast<ptrdiff_t>(base), listed.size(), listed.begin());
      }
      md.near();
      if (t == 0) md.far();
      md.get_near(near.as<Float4>().data());
      if (t == 0) md.get_far(far_);
      device->flush();
      std::fill(force.begin(), force.end(), Vector3{});
      double potential = bonded(s, first, count, force.data());
      device->finish();
      meet();
      for (size_t i = 0; i < force.size(); ++i) {
        const Float4 n = near.as<Float4>()[i], f = far_[base + i];
        force[i] = force[i] + Vector3{static_cast<double>(n.x) + static_cast<double>(f.x),
                                      static_cast<double>(n.y) + static_cast<double>(f.y),
                                      static_cast<double>(n.z) + static_cast<double>(f.z)};
        potential += static_cast<double>(n.w) + static_cast<double>(f.w);
      }
      slot.potential = potential;
    };
    const auto kick = [&] {
      for (size_t i = 0; i < force.size(); ++i) {
        Vector3& v = s.velocity[base + i];
        v = v + (0.5 * dt_ * kAccelerate / kMass[i % 3]) * force[i];
      }
    };
    const auto kinetic = [&] {
      double twice = 0;
      for (size_t i = 0; i < force.size(); ++i) twice += kMass[i % 3] * dot(s.velocity[base + i], s.velocity[base + i]);
      slot.kinetic = 0.5 * twice / kAccelerate;
    };

    compute(true);
    kinetic();
    for (int leg = 0; leg < legs_; ++leg) {
      meet();
      const auto begin = Clock::now();
      for (int step = 0; step < steps_; ++step) {
        kick();
        for (size_t i = 0; i < force.size(); ++i) {
          s.position[base + i] = s.position[base + i] + dt_ * s.velocity[base + i];
        }
        compute(false);
        kick();
        kinetic();
        if (hottest_ > 0) cool(slot, base, force.size());
        if (leg * steps_ + step + 1 == kEarly) {
          const auto from = s.position.begin() + static_cast<ptrdiff_t>(base);
          std::copy_n(from, force.size(), run_.early.begin() + static_cast<ptrdiff_t>(base));
        }
      }
      meet();
      if (t == 0) run_.seconds.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
    }
    if (t == 0) add_up();
    md.check_overflow();
  }

  // Of a share, by its own temperature.
  void cool(Slot& slot, size_t base, size_t atoms) {
    const double kelvin = 2 * slot.kinetic / (3 * static_cast<double>(atoms) * kBoltzmann);
    if (kelvin <= hottest_) return;
    for (size_t i = base; i < base + atoms; ++i) {
      run_.last.velocity[i] = std::sqrt(hottest_ / kelvin) * run_.last.velocity[i];
    }
  }

  // After a barrier, by one thread: what all others' slots hold of the last step.
  void add_up() {
    double energy = self_energy_;
    run_.kinetic = 0;
    for (const Slot& slot : slots_) {
      energy += slot.potential + slot.kinetic;
      run_.kinetic += slot.kinetic;
    }
    run_.energy.push_back(energy);
  }

  const OpenDevice& open_;
  device::Device& pinned_;
  const int threads_, legs_, steps_;
  const double dt_, hottest_, self_energy_;
  MdRun run_;
  Float4 *atoms_ = nullptr, *far_ = nullptr;
  std::vector<Slot> slots_;
  std::barrier<> barrier_;
  std::mutex mutex_;
  std::exception_ptr failure_;
  std::atomic<bool> failed_ = false;
};

}  // namespace

MdRun run_team(const OpenDevice& open, device::Device& pinned, const MdSystem& start, int threads, int legs, int steps,
               double dt, double hottest) {
  return Team(open, pinned, start, threads, legs, steps, dt, hottest).run();
}

}  // namespace nm::workload::apps
