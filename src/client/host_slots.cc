#include "client/host_slots.h"

#include <string.h>

namespace nm::client {

void HostSlots::gather(Slot& slot) {
  slot.there.clear();
  slot.there.reserve(slot.size);
  for_each_row(slot.box, [&](const uint8_t* row) { slot.there.insert(slot.there.end(), row, row + slot.box.width); });
}

bool HostSlots::is_same(const Slot& slot) {
  const uint8_t* at = slot.there.data();
  bool same = true;
  for_each_row(slot.box, [&](const uint8_t* row) {
    same = same && memcmp(row, at, slot.box.width) == 0;
    at += slot.box.width;
  });
  return same;
}

uint64_t HostSlots::add(const CUDA_MEMCPY3D_PEER& copy, bool source) {
  uint64_t id = next_++;
  Slot& slot = slots_[id];
  slot.box = source ? source_box(copy) : destination_box(copy);
  slot.named = copy;
  slot.source = source;
  slot.size = volume(copy);
  return id;
}

void HostSlots::drop(uint64_t slot) { slots_.erase(slot); }

uint64_t HostSlots::size(uint64_t id) const {
  auto it = slots_.find(id);
  return it == slots_.end() ? 0 : it->second.size;
}

const Box* HostSlots::box(uint64_t id) const {
  auto it = slots_.find(id);
  return it == slots_.end() ? nullptr : &it->second.box;
}

bool HostSlots::is_source(uint64_t id) const {
  auto it = slots_.find(id);
  return it != slots_.end() && it->second.source;
}

bool HostSlots::restore(uint64_t id, CUDA_MEMCPY3D_PEER* copy) const {
  auto it = slots_.find(id);
  if (it == slots_.end()) return false;
  const CUDA_MEMCPY3D_PEER& n = it->second.named;
  if (it->second.source) {
    copy->srcHost = n.srcHost, copy->srcXInBytes = n.srcXInBytes, copy->srcY = n.srcY, copy->srcZ = n.srcZ;
    copy->srcPitch = n.srcPitch, copy->srcHeight = n.srcHeight;
  } else {
    copy->dstHost = n.dstHost, copy->dstXInBytes = n.dstXInBytes, copy->dstY = n.dstY, copy->dstZ = n.dstZ;
    copy->dstPitch = n.dstPitch, copy->dstHeight = n.dstHeight;
  }
  return true;
}

bool HostSlots::take_change(uint64_t id, Slot& slot, SlotUpdate* out) {
  if (slot.there_known && is_same(slot)) return false;
  gather(slot);
  slot.there_known = true;
  slot.there_later = false;
  slot.version = ++version_;
  *out = {id, slot.version, slot.there};
  return true;
}

std::vector<SlotUpdate> HostSlots::begin_launch(std::span<const uint64_t> slots) {
  std::vector<SlotUpdate> out;
  SlotUpdate update;
  for (uint64_t id : slots) {
    auto it = slots_.find(id);
    if (it == slots_.end()) continue;
    it->second.running++;
    if (!take_change(id, it->second, &update)) continue;
    it->second.there_later = true;
    out.push_back(std::move(update));
  }
  return out;
}

void HostSlots::end_launch(std::span<const uint64_t> slots) {
  for (uint64_t id : slots) {
    auto it = slots_.find(id);
    if (it != slots_.end() && it->second.running > 0) it->second.running--;
  }
}

void HostSlots::lost(uint64_t id) {
  if (auto it = slots_.find(id); it != slots_.end()) it->second.there_known = false;
}

std::vector<SlotUpdate> HostSlots::take_changes() {
  std::vector<SlotUpdate> out;
  SlotUpdate update;
  for (auto& [id, slot] : slots_) {
    if (slot.running == 0) continue;
    if (take_change(id, slot, &update)) {
      out.push_back(std::move(update));
    } else if (slot.there_later && slot.source) {
      // What this function wrote, seen by a launch that comes after others which must see it, too. Under its version,
      // so that it counts once.
      slot.there_later = false;
      out.push_back({id, slot.version, slot.there});
    }
  }
  return out;
}

void HostSlots::write(uint64_t id, uint64_t version, std::span<const uint8_t> bytes) {
  auto it = slots_.find(id);
  if (it == slots_.end()) return;
  Slot& slot = it->second;
  if (slot.source || bytes.size() != slot.size || version <= slot.received) return;
  slot.received = version;
  const uint8_t* at = bytes.data();
  for_each_row(slot.box, [&](uint8_t* row) { memcpy(row, at, slot.box.width), at += slot.box.width; });
  slot.there.assign(bytes.begin(), bytes.end());
  slot.there_known = true;
}

}  // namespace nm::client
