#include "pci.h"

enum { kCommand = 0x04, kHeader = 0x0c, kBar0 = 0x10, kCapabilities = 0x34 };
enum { kBridgeBuses = 0x18, kBridgeMemory = 0x20, kBridgePrefetchable = 0x24, kBridgePrefetchableHigh = 0x28 };
enum { kMemoryAndMaster = 6 };

static void select(const Device* at, int offset) {
  outl(0xcf8, 0x80000000u | at->bus << 16 | at->slot << 11 | at->function << 8 | (offset & ~3));
}

u32 config(const Device* device, int at) {
  select(device, at);
  return inl(0xcfc) >> (at & 3) * 8;
}

void set_config(const Device* device, int at, u32 value) {
  select(device, at);
  outl(0xcfc, value);
}

int capability(const Device* device, int id, int from) {
  if (!(config(device, kCommand) & 1u << 20)) return 0;
  int at = from ? config(device, from + 1) & 0xfc : config(device, kCapabilities) & 0xfc;
  for (int hops = 0; at && hops < 48; hops++) {
    if ((config(device, at) & 0xff) == (u32)id) return at;
    at = config(device, at + 1) & 0xfc;
  }
  return 0;
}

static int log2_of(u32 low, u32 high) {
  if (low) return __builtin_ctz(low);
  return high ? 32 + __builtin_ctz(high) : 0;
}

// Sizes the BARs of `device` and notes where they are. A BAR above 4 GiB is beyond us and counts as not placed.
static void read_bars(Device* device) {
  const u32 command = config(device, kCommand);
  set_config(device, kCommand, command & ~7u & 0xffff);
  for (int i = 0; i < 6; i++) {
    const int at = kBar0 + 4 * i;
    const u32 was = config(device, at);
    set_config(device, at, ~0u);
    const u32 mask = config(device, at);
    set_config(device, at, was);
    device->bar[i] = device->bar_log2[i] = 0;
    if (!mask || mask & 1) continue;
    u32 high = 0, high_mask = 0;
    const int wide = (mask >> 1 & 3) == 2;
    if (wide) {
      high = config(device, at + 4);
      set_config(device, at + 4, ~0u);
      high_mask = config(device, at + 4);
      set_config(device, at + 4, high);
    }
    device->bar_log2[i] = log2_of(mask & ~15u, high_mask);
    device->bar[i] = high ? 0 : was & ~15u;
    if (wide) {
      i++;
      device->bar[i] = device->bar_log2[i] = 0;
    }
  }
  set_config(device, kCommand, command & 0xffff);
}

typedef struct {
  u32 next, end;
} Window;

static Window window_of(const Device* bridge, int at) {
  const u32 value = config(bridge, at);
  const u32 base = (value & 0xfff0u) << 16, end = (value & 0xfff00000u) | 0xfffffu;
  if (at == kBridgePrefetchable && config(bridge, kBridgePrefetchableHigh)) return (Window){1, 0};
  return (Window){base, base < end ? end : 0};
}

// Puts the BARs that have no place into the port's windows, the largest first, so that none is lost to alignment.
static void place_bars(const Device* bridge, Device* devices, int count) {
  Window plain = window_of(bridge, kBridgeMemory), prefetchable = window_of(bridge, kBridgePrefetchable);
  for (int log2 = 31; log2 >= 4; log2--) {
    for (int i = 0; i < count * 6; i++) {
      Device* device = &devices[i / 6];
      const int bar = i % 6, at = kBar0 + 4 * bar;
      if (device->bar_log2[bar] != (u32)log2 || device->bar[bar]) continue;
      const u32 size = 1u << log2;
      Window* window = config(device, at) & 8 && prefetchable.end ? &prefetchable : &plain;
      const u32 start = (window->next + size - 1) & ~(size - 1);
      if (start < window->next || !window->end || start + size - 1 > window->end) {
        say("L2 broken no room for BAR %x (1 << %x) of %2:%2.%x", bar, log2, device->bus, device->slot,
            device->function);
        continue;
      }
      set_config(device, at, start);
      if ((config(device, at) >> 1 & 3) == 2) set_config(device, at + 4, 0);
      device->bar[bar] = start;
      window->next = start + size;
    }
  }
}

static int find_behind(const Device* bridge, Device* found, int most) {
  const u8 bus = config(bridge, kBridgeBuses) >> 8;
  if (!bus) return 0;
  int count = 0, unplaced = 0;
  for (int function = 0; function < 8; function++) {
    Device at = {.bus = bus, .function = function};
    const u32 id = config(&at, 0);
    if (id == ~0u || !id) {
      if (!function) return 0;
      continue;
    }
    const u32 header = config(&at, kHeader) >> 16;
    if (header & 0x7f) continue;
    at.vendor = id, at.device = id >> 16;
    read_bars(&at);
    for (int bar = 0; bar < 6; bar++) unplaced += at.bar_log2[bar] && at.bar_log2[bar] < 32 && !at.bar[bar];
    if (count < most) found[count++] = at;
    if (!function && !(header & 0x80)) break;
  }
  if (unplaced) place_bars(bridge, found, count);
  set_config(bridge, kCommand, (config(bridge, kCommand) & 0xffff) | kMemoryAndMaster);
  for (int i = 0; i < count; i++)
    set_config(&found[i], kCommand, (config(&found[i], kCommand) & 0xffff) | kMemoryAndMaster);
  return count;
}

int find_devices(Device* found, int most) {
  int count = 0;
  for (int slot = 0; slot < 32; slot++) {
    for (int function = 0; function < 8; function++) {
      Device at = {.slot = slot, .function = function};
      const u32 id = config(&at, 0);
      if (id == ~0u || !id) continue;
      if ((config(&at, kHeader) >> 16 & 0x7f) == 1) count += find_behind(&at, found + count, most - count);
    }
  }
  return count;
}
