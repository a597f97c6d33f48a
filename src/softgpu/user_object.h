// A program's resource whose life graphs share: destroyed when the last reference goes, on a thread of its own, for the
// program's destructor may take its time and its locks.
#pragma once

#include <thread>

#include "softgpu/driver.h"

namespace nm::softgpu {

class UserObject final : public Object {
 public:
  static constexpr Kind kKind = Kind::user_object;
  UserObject(void* data, CUhostFn destroy, unsigned references)
      : Object(kKind), references(references), data_(data), destroy_(destroy) {}
  ~UserObject() override {
    std::thread([data = data_, destroy = destroy_] {
      in_host_function() = true;
      destroy(data);
    }).detach();
  }
  unsigned references;  // the program's own; those of graphs are theirs

 private:
  void* data_;
  CUhostFn destroy_;
};

}  // namespace nm::softgpu
