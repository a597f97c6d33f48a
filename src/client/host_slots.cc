#include "client/host_slots.h"

#include <string.h>

#include <algorithm>

namespace nm::client {
namespace {

bool same_source(const CUDA_MEMCPY3D_PEER& a, const CUDA_MEMCPY3D_PEER& b) {
  return a.srcHost == b.srcHost && a.srcXInBytes == b.srcXInBytes && a.srcY == b.srcY && a.srcZ == b.srcZ &&
         a.srcPitch == b.srcPitch && a.srcHeight == b.srcHeight;
}
bool same_destination(const CUDA_MEMCPY3D_PEER& a, const CUDA_MEMCPY3D_PEER& b) {
  return a.dstHost == b.dstHost && a.dstXInBytes == b.dstXInBytes && a.dstY == b.dstY && a.dstZ == b.dstZ &&
         a.dstPitch == b.dstPitch && a.dstHeight == b.dstHeight;
}

}  // namespace

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

uint64_t HostSlots::find_shared(const CUDA_MEMCPY3D_PEER& copy, const Box& b, bool source, uint64_t context) const {
  auto [first, last] = by_base_.equal_range(b.base);
  uint64_t found = 0;
  for (auto it = first; it != last; ++it) {
    const Slot& slot = slots_.at(it->second);
    const Box& o = slot.box;
    bool same =
        o.width == b.width && o.height == b.height && o.depth == b.depth && o.pitch == b.pitch && o.rows == b.rows;
    // Two that only read need not know of each other. Two that write do: each would count as written only if it differs
    // from what was there at the launch, so the last one, if it does not, would lose to the first.
    bool meets = !source || slot.destination.has_value();
    const auto& end = source ? slot.source : slot.destination;
    bool fits = !end || (source ? same_source(*end, copy) : same_destination(*end, copy));
    if (same && meets && fits && slot.context && slot.context == context && it->second > found) found = it->second;
  }
  return found;
}

bool HostSlots::touch(const void* first, uint64_t size) const {
  const auto at = reinterpret_cast<uint64_t>(first);
  return std::any_of(slots_.begin(), slots_.end(), [&](const auto& s) {
    const auto base = reinterpret_cast<uint64_t>(s.second.box.base);
    return base < at + size && at < base + extent(s.second.box);
  });
}

uint64_t HostSlots::add(const CUDA_MEMCPY3D_PEER& copy, bool source, uint64_t context) {
  Box b = source ? source_box(copy) : destination_box(copy);
  uint64_t id = find_shared(copy, b, source, context);
  if (!id) {
    id = next_++;
    by_base_.emplace(b.base, id);
    slots_[id].box = b;
    slots_[id].size = volume(copy);
    slots_[id].context = context;
  }
  Slot& slot = slots_[id];
  (source ? slot.source : slot.destination) = copy;
  slot.added++;
  return id;
}

void HostSlots::drop(uint64_t id, uint64_t times) {
  auto it = slots_.find(id);
  if (it == slots_.end()) return;
  it->second.added -= std::min(times, it->second.added);
  if (it->second.added) return;
  auto [first, last] = by_base_.equal_range(it->second.box.base);
  for (auto at = first; at != last; ++at) {
    if (at->second != id) continue;
    by_base_.erase(at);
    break;
  }
  slots_.erase(it);
}

void HostSlots::leave(uint64_t context) {
  for (auto& [id, slot] : slots_) {
    if (slot.context == context) slot.context = 0;
  }
}

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

bool HostSlots::is_destination(uint64_t id) const {
  auto it = slots_.find(id);
  return it != slots_.end() && it->second.destination;
}

bool HostSlots::restore(uint64_t id, bool source, CUDA_MEMCPY3D_PEER* copy) const {
  auto it = slots_.find(id);
  if (it == slots_.end()) return false;
  const auto& named = source ? it->second.source : it->second.destination;
  if (!named) return false;
  const CUDA_MEMCPY3D_PEER& n = *named;
  if (source) {
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
  if (!slot.destination || bytes.size() != slot.size || version <= slot.received) return;
  slot.received = version;
  const uint8_t* at = bytes.data();
  for_each_row(slot.box, [&](uint8_t* row) { memcpy(row, at, slot.box.width), at += slot.box.width; });
  slot.there.assign(bytes.begin(), bytes.end());
  slot.there_known = true;
}

}  // namespace nm::client
