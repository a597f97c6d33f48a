#include "server/graph_slots.h"

#include <cstring>

namespace nm::server {
namespace {

constexpr uint64_t kMaxTotal = 64ull << 30;  // bytes of slots in one session
// Freeing pinned memory waits for the device, so some of it is kept for the next slot of that size.
constexpr uint64_t kMaxSpare = 256ull << 20;

}  // namespace

void GraphSlots::close() { gone_ = nullptr; }

CUresult GraphSlots::make(uint64_t id, uint64_t size, bool output, CUcontext context, Ref* out) {
  if (!id || !size || size > kMaxTotal) return CUDA_ERROR_INVALID_VALUE;
  if (auto it = by_id_.find(id); it != by_id_.end()) return name_again(*it->second, size, output, out);
  if (total_ + size > kMaxTotal) return CUDA_ERROR_OUT_OF_MEMORY;
  void* data = nullptr;
  if (auto it = spare_.find(size); it != spare_.end()) {
    data = it->second.data;
    context = it->second.context;
    spare_.erase(it);
    spare_bytes_ -= size;
  } else {
    RelaxedCapture relaxed(driver_);
    if (CUresult e = driver_.cuMemHostAlloc(&data, size, CU_MEMHOSTALLOC_PORTABLE)) return e;
  }
  std::memset(data, 0, size);
  auto* slot = new Slot;
  slot->id = id;
  slot->data = static_cast<uint8_t*>(data);
  slot->size = size;
  slot->context = context;
  slot->output = output;
  slot->named = 1;
  if (output) slot->known.assign(size, 0);
  total_ += size;
  if (size > largest_) largest_ = size;
  *out = Ref(slot, [slots = weak_from_this()](Slot* s) {
    if (auto live = slots.lock()) live->recycle(s);
    else delete s;
  });
  by_address_[reinterpret_cast<uint64_t>(data)] = *out;
  std::lock_guard lock(mutex_);
  by_id_[id] = slot;
  return CUDA_SUCCESS;
}

CUresult GraphSlots::name_again(Slot& slot, uint64_t size, bool output, Ref* out) {
  if (size != slot.size || !slot.data) return CUDA_ERROR_INVALID_VALUE;
  *out = at(slot.data);
  if (!*out) return CUDA_ERROR_INVALID_VALUE;
  slot.named++;
  std::lock_guard lock(mutex_);
  if (output && !slot.output) {
    slot.known.assign(slot.data, slot.data + size);
    slot.output = true;
  }
  return CUDA_SUCCESS;
}

void GraphSlots::recycle(Slot* slot) {
  {
    std::lock_guard lock(mutex_);
    by_id_.erase(slot->id);
  }
  total_ -= slot->size;
  if (slot->data) by_address_.erase(reinterpret_cast<uint64_t>(slot->data));
  if (!slot->data) {
    // Gone with its context.
  } else if (spare_bytes_ + slot->size <= kMaxSpare) {
    spare_.emplace(slot->size, Spare{slot->data, slot->context});
    spare_bytes_ += slot->size;
  } else {
    RelaxedCapture relaxed(driver_);
    driver_.cuMemFreeHost(slot->data);
  }
  if (gone_) gone_(slot->id, slot->named);
  delete slot;
}

void GraphSlots::leave(CUcontext context) {
  std::lock_guard lock(mutex_);
  std::erase_if(spare_, [&](const auto& entry) {
    if (entry.second.context != context) return false;
    spare_bytes_ -= entry.first;
    return true;
  });
  for (auto& [id, slot] : by_id_) {
    if (slot->context != context || !slot->data) continue;
    by_address_.erase(reinterpret_cast<uint64_t>(slot->data));
    slot->data = nullptr;
  }
}

GraphSlots::Ref GraphSlots::at(const void* host) const {
  auto address = reinterpret_cast<uint64_t>(host);
  auto it = by_address_.upper_bound(address);
  if (it == by_address_.begin()) return nullptr;
  Ref slot = (--it)->second.lock();
  return slot && address - it->first < slot->size ? slot : nullptr;
}

void GraphSlots::add_node(const Ref& slot) {
  if (slot && slot->nodes++ == 0) in_graphs_[slot->id] = slot;
}

void GraphSlots::drop_node(const Ref& slot) {
  if (slot && slot->nodes > 0 && --slot->nodes == 0) in_graphs_.erase(slot->id);
}

void GraphSlots::apply(std::span<const Update> updates) {
  std::lock_guard lock(mutex_);
  for (const Update& u : updates) {
    auto it = by_id_.find(u.slot);
    if (it == by_id_.end()) continue;
    Slot& slot = *it->second;
    if (!slot.data || u.version <= slot.version || u.bytes.size() != slot.size) continue;
    slot.version = u.version;
    std::memcpy(slot.data, u.bytes.data(), slot.size);
    slot.on_the_way = slot.handed = false;  // the client has written since: it had them
    if (slot.output) slot.known = u.bytes;
  }
}

bool GraphSlots::take_written_of(Slot& slot, Update* out) {
  if (!slot.output || !slot.data || std::memcmp(slot.data, slot.known.data(), slot.size) == 0) return false;
  std::memcpy(slot.known.data(), slot.data, slot.size);
  *out = {slot.id, ++slot.sent, slot.known};
  return true;
}

std::vector<GraphSlots::Update> GraphSlots::take_written(std::span<const Ref> slots) {
  std::lock_guard lock(mutex_);
  std::vector<Update> out;
  Update u;
  for (const Ref& slot : slots) {
    if (take_written_of(*slot, &u)) {
      slot->on_the_way = true;
      out.push_back(std::move(u));
    } else if (slot->handed) {
      out.push_back({slot->id, slot->sent, slot->known});
    }
    slot->handed = false;
  }
  return out;
}

std::vector<GraphSlots::Update> GraphSlots::take_written() {
  std::lock_guard lock(mutex_);
  std::vector<Update> out;
  Update u;
  for (auto& [id, slot] : by_id_) {
    if (slot->running && take_written_of(*slot, &u)) {
      slot->handed = true;
      out.push_back(std::move(u));
    } else if (slot->on_the_way) {
      out.push_back({slot->id, slot->sent, slot->known});
    }
    slot->on_the_way = false;
  }
  return out;
}

void GraphSlots::function_returned() {
  std::lock_guard lock(mutex_);
  for (auto& [id, slot] : by_id_) slot->handed = false;
}

}  // namespace nm::server
