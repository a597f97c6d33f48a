// Virtual handles of one kind to the driver's objects and back. Handles come from a stranger: every look-up checks the
// mark, the kind, the index and the generation.
#pragma once

#include <cstdint>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "cuda_abi.h"
#include "wire/handle.h"
#include "wire_ops.h"

namespace nm::server {

template <typename H>
class HandleTable {
 public:
  explicit HandleTable(Kind kind) : kind_(static_cast<uint8_t>(kind)) {}

  bool find(uint64_t value, H* out) const {
    if (value == 0) {
      *out = H{};
      return true;
    }
    const Slot* s = slot(value);
    if (!s) return false;
    *out = s->object;
    return true;
  }
  bool contains(uint64_t value) const { return slot(value) != nullptr; }
  // True if some handle stands for `object`.
  bool knows(H object) const { return back_.count(raw(object)) != 0; }
  // For a handle inside a struct, where zero is common and `value` has the driver's type.
  bool find_or_null(H value, H* out) const { return find(raw(value), out); }

  // True if a client may bind `value`: a well-formed handle whose index is not in use.
  bool free_slot(uint64_t value) const {
    wire::Handle h;
    if (!wire::Handle::parse(value, &h) || h.kind != kind_ || h.index >= wire::kMaxIndex) return false;
    return h.index >= slots_.size() || !slots_[h.index].used;
  }
  bool bind(uint64_t value, H object) {
    wire::Handle h;
    if (!free_slot(value) || !wire::Handle::parse(value, &h)) return false;
    if (h.index >= slots_.size()) slots_.resize(h.index + 1);
    slots_[h.index] = {object, h.generation, true, owner_ ? *owner_ : nullptr};
    back_[raw(object)] = value;
    return true;
  }
  void unbind(uint64_t value) {
    Slot* s = const_cast<Slot*>(slot(value));
    if (!s) return;
    back_.erase(raw(s->object));
    s->used = false;
    s->object = H{};
    wire::Handle h;
    if (wire::Handle::parse(value, &h) && h.index & wire::kServerBit) own_free_.push_back(h.index & ~wire::kServerBit);
  }
  // Unless the handle was drawn here.
  void unbind_drawn(uint64_t value) {
    wire::Handle h;
    if (wire::Handle::parse(value, &h) && !(h.index & wire::kServerBit)) unbind(value);
  }
  // The driver's object is gone, whoever drew its handle: another object may get its address.
  void forget(H object) {
    auto it = back_.find(raw(object));
    if (it != back_.end()) unbind(it->second);
  }

  // What is bound from now on belongs to the context that `*owner` names at that time.
  void owned_by(const CUcontext* owner) { owner_ = owner; }
  // The driver has destroyed everything that belonged to `context`: no handle may lead there any more.
  void drop_owned(CUcontext context) {
    for (Slot& s : slots_) {
      if (!s.used || s.owner != context) continue;
      back_.erase(raw(s.object));
      s.used = false;
      s.object = H{};
    }
  }

  // The client's handle of a driver object; drawn here for an object that the client has not seen.
  uint64_t virtual_of(H object) {
    if (!object) return 0;
    auto [it, added] = back_.try_emplace(raw(object), 0);
    if (added) {
      uint32_t index;
      if (!own_free_.empty()) {
        index = own_free_.back();
        own_free_.pop_back();
      } else if (own_.size() < wire::kMaxIndex) {
        index = static_cast<uint32_t>(own_.size());
        own_.emplace_back();
      } else {
        back_.erase(it);
        return 0;
      }
      Slot& s = own_[index];
      s = {object, static_cast<uint16_t>(s.generation + 1), true, nullptr};
      it->second = wire::Handle{kind_, s.generation, wire::kServerBit | index}.value();
    }
    return it->second;
  }
  void to_virtual(H* object) { *object = reinterpret(virtual_of(*object)); }

 private:
  struct Slot {
    H object{};
    uint16_t generation = 0;
    bool used = false;
    CUcontext owner = nullptr;
  };

  static uint64_t raw(H h) {
    if constexpr (std::is_pointer_v<H>) return reinterpret_cast<uint64_t>(h);
    else return h;
  }
  static H reinterpret(uint64_t v) {
    if constexpr (std::is_pointer_v<H>) return reinterpret_cast<H>(v);
    else return v;
  }
  const Slot* slot(uint64_t value) const {
    wire::Handle h;
    if (!wire::Handle::parse(value, &h) || h.kind != kind_) return nullptr;
    const auto& slots = h.index & wire::kServerBit ? own_ : slots_;
    uint32_t index = h.index & ~wire::kServerBit;
    if (index >= slots.size() || !slots[index].used || slots[index].generation != h.generation) return nullptr;
    return &slots[index];
  }

  uint8_t kind_;
  const CUcontext* owner_ = nullptr;
  std::vector<Slot> slots_;  // drawn by the client
  std::vector<Slot> own_;    // drawn by the server
  std::vector<uint32_t> own_free_;
  std::unordered_map<uint64_t, uint64_t> back_;
};

}  // namespace nm::server
