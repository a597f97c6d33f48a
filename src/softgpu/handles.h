// What a program holds by handle. A handle is the object's address, and is looked up before it is believed: a stale or
// foreign one is an error, not a crash. Guarded by the driver's lock.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "softgpu/entry.h"

namespace nm::softgpu {

enum class Kind : uint8_t {
  context,
  stream,
  event,
  module,
  function,
  library,
  kernel,
  array,
  mipmap,
  graph,
  node,
  graph_exec,
  pool,
  physical,
  linker,
  user_object,
};
inline constexpr size_t kKinds = 16;

class Object : public std::enable_shared_from_this<Object> {
 public:
  explicit Object(Kind kind) : kind_(kind) {}
  virtual ~Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  Kind kind() const { return kind_; }

 private:
  const Kind kind_;
};

class Handles {
 public:
  void add(std::shared_ptr<Object> object) {
    auto& table = live_[static_cast<size_t>(object->kind())];
    const Object* key = object.get();
    table[key] = std::move(object);
  }
  void remove(const Object* object) { live_[static_cast<size_t>(object->kind())].erase(object); }

  // Null when `handle` is not a live object of this kind.
  template <class T>
  std::shared_ptr<T> find(const void* handle) const {
    const auto& table = live_[static_cast<size_t>(T::kKind)];
    const auto it = table.find(handle);
    return it == table.end() ? nullptr : std::static_pointer_cast<T>(it->second);
  }
  template <class T>
  std::shared_ptr<T> get(const void* handle, CUresult otherwise = CUDA_ERROR_INVALID_HANDLE) const {
    auto object = find<T>(handle);
    if (!object) fail(otherwise);
    return object;
  }
  template <class T, class Visit>
  void each(Visit&& visit) const {
    for (const auto& [key, object] : live_[static_cast<size_t>(T::kKind)]) visit(static_cast<T&>(*object));
  }

 private:
  std::array<std::unordered_map<const void*, std::shared_ptr<Object>>, kKinds> live_;
};

// The handle that a program sees for `object`.
template <class H>
H handle_of(const void* object) {
  return reinterpret_cast<H>(const_cast<void*>(object));
}

}  // namespace nm::softgpu
