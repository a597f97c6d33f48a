// How the store fails. A caller must tell some failures apart (a lost lease, a compacted watch, a transaction of which
// nobody knows whether it was done), so a failure has a kind beside its sentence. Whoever does not care uses an Answer
// as the Result that it is.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"

namespace nm::store {

enum class Trouble {
  invalid,      // the request itself: it will never be accepted
  unreachable,  // nothing was done; later it may be
  unknown,      // it may have been done or not: read before you try again
  no_lease,     // there is no such lease (any more); nothing was done
  compacted,    // what was asked for lies before the history that is kept: read again, and watch from there
  full,         // no space; nothing was done
  broken,       // the store is not what it should be: another cluster, a damaged file
  stopped,      // the watch was stopped
};

struct Failure {
  Trouble trouble;
  std::string message;  // a sentence that names the object and the next action
};

template <typename T>
class [[nodiscard]] Answer : public Result<T> {
 public:
  Answer(T value) : Result<T>(std::move(value)) {}
  Answer(Failure failure) : Result<T>(Error{std::move(failure.message)}), trouble_(failure.trouble) {}

  // Of a failure only.
  Trouble trouble() const { return trouble_; }
  Failure failure() const { return {trouble_, this->error().message}; }

 private:
  Trouble trouble_ = Trouble::broken;
};

template <>
class [[nodiscard]] Answer<void> : public Result<void> {
 public:
  Answer() = default;
  Answer(Failure failure) : Result<void>(Error{std::move(failure.message)}), trouble_(failure.trouble) {}

  Trouble trouble() const { return trouble_; }
  Failure failure() const { return {trouble_, error().message}; }

 private:
  Trouble trouble_ = Trouble::broken;
};

}  // namespace nm::store
