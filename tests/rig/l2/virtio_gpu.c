#include "virtio_gpu.h"

enum { kCommonConfiguration = 1, kNotify = 2, kEntries = 8, kPatience = 20000000 };
enum { kAcknowledge = 1, kDriver = 2, kDriverOk = 4, kFeaturesOk = 8 };
enum { kGetDisplayInfo = 0x100, kDisplayInfo = 0x1101 };

static struct {
  struct {
    u64 address;
    u32 length;
    u16 flags, next;
  } descriptors[kEntries];
  u16 available_flags, available_index, available[kEntries], available_event;
  u16 used_flags __attribute__((aligned(64)));
  u16 used_index;
  struct {
    u32 id, length;
  } used[kEntries];
} queue __attribute__((aligned(4096)));

static struct { u32 question[6], answer[128]; } memory __attribute__((aligned(4096)));

// Where a structure of the device lies; *extra is the last word of its capability.
static u32 structure(const Device* device, u32 kind, u32* extra) {
  for (int at = capability(device, 0x09, 0), hops = 0; at && hops < 16; at = capability(device, 0x09, at), hops++) {
    if ((config(device, at) >> 24) != kind) continue;
    const u32 bar = config(device, at + 4) & 0xff;
    if (extra) *extra = config(device, at + 16);
    return bar < 6 && device->bar[bar] ? device->bar[bar] + config(device, at + 8) : 0;
  }
  return 0;
}

const char* virtio_gpu_asks_displays(const Device* device) {
  u32 multiplier = 0;
  const u32 common = structure(device, kCommonConfiguration, 0), notify = structure(device, kNotify, &multiplier);
  if (!common || !notify) return "command: its registers have no place";
  volatile u8* status = mem8(common + 20);
  *status = 0;
  for (int i = 0; i < kPatience && *status; i++) {
  }
  *status = kAcknowledge | kDriver;
  // Version 1, and addresses that pass through an IOMMU.
  *mem32(common) = 1;
  const u32 offered = *mem32(common + 4);
  *mem32(common + 8) = 0;
  *mem32(common + 12) = 0;
  *mem32(common + 8) = 1;
  *mem32(common + 12) = offered & 3;
  *status = kAcknowledge | kDriver | kFeaturesOk;
  if (!(*status & kFeaturesOk)) return "command: it refuses the features that it offered";

  __builtin_memset(&queue, 0, sizeof queue);
  __builtin_memset(&memory, 0, sizeof memory);
  *mem16(common + 22) = 0;
  *mem16(common + 24) = kEntries;
  const u32 parts[3] = {(u32)queue.descriptors, (u32)&queue.available_flags, (u32)&queue.used_flags};
  for (int i = 0; i < 3; i++) {
    *mem32(common + 32 + 8 * i) = parts[i];
    *mem32(common + 36 + 8 * i) = 0;
  }
  const u32 doorbell = notify + *mem16(common + 30) * multiplier;
  *mem16(common + 28) = 1;
  *status = kAcknowledge | kDriver | kFeaturesOk | kDriverOk;

  memory.question[0] = kGetDisplayInfo;
  queue.descriptors[0].address = (u32)memory.question;
  queue.descriptors[0].length = sizeof memory.question;
  queue.descriptors[0].flags = 1;  // another follows
  queue.descriptors[0].next = 1;
  queue.descriptors[1].address = (u32)memory.answer;
  queue.descriptors[1].length = sizeof memory.answer;
  queue.descriptors[1].flags = 2;  // the device writes it
  __sync_synchronize();
  queue.available_index = 1;
  __sync_synchronize();
  *mem16(doorbell) = 0;
  for (int i = 0; i < kPatience && !*(volatile u16*)&queue.used_index; i++) {
  }
  const int answered = queue.used_index == 1 && *(volatile u32*)memory.answer == kDisplayInfo;
  *status = 0;
  return answered ? 0 : "command: it did not answer";
}
