// What the suite that says what a store does (conformance_test.cc) must know of one: how to come to it. Each test
// program that carries the suite says which stores it runs against.
#pragma once

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "store/store.h"

namespace nm::store {

class Place {
 public:
  virtual ~Place() = default;
  virtual std::string name() const = 0;
  // An empty store, for a test of its own. Not reachable is a failure of the test.
  virtual void renew() = 0;
  // One more way to it: as another process would have.
  virtual std::unique_ptr<Store> open() = 0;
  // The same for a process; empty: there is none.
  virtual std::string url() const = 0;
};

inline void PrintTo(Place* place, std::ostream* out) { *out << place->name(); }

// Owned by the program.
std::vector<Place*> test_places();

inline TimePoint in(Millis time) { return Clock::now() + time; }
// For what takes no time, on a machine that is busy with something else.
inline TimePoint soon() { return in(Millis(30'000)); }

}  // namespace nm::store
