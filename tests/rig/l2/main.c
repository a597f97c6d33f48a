// The guest of the rig's virtual machines: no operating system, a second after its start on the stage. It uses every
// device that it finds behind a port, takes what is plugged in while it runs, and lets go what the host asks back. All
// that it does it tells on its serial line; drive.h has the lines of a device, and these are its own:
//
//   L2 ready                 everything that was there at the start has been driven
//   L2 found BB:SS.F VVVV:DDDD
//   L2 asked                 the host wants a device back
//   L2 lets go               and may have it
//   L2 gone BB:SS.F
//   L2 kept using            a busy guest: how often the devices were driven since the last line
//
// Words on its command line change it: `deaf` never answers a request, `hesitant` ignores the first one, `busy` drives
// what it has without a pause, until it is asked to let go.
#include "drive.h"
#include "irq.h"

enum { kMost = 24, kBuses = 32 };
enum { kPlugged = 0xcc0, kRequested = 0xcc4, kEject = 0xcc8, kSelect = 0xcd0 };  // QEMU's ACPI hot-plug registers

typedef struct {
  u32 flags, unused[3], command_line;
} BootInformation;

static Device devices[kMost];
static int device_count;

static int is_among(const Device* device, const Device* list, int count) {
  for (int i = 0; i < count; i++) {
    if (list[i].bus == device->bus && list[i].slot == device->slot && list[i].function == device->function) return 1;
  }
  return 0;
}

static void look(void) {
  static Device now[kMost];
  const int count = find_devices(now, kMost);
  for (int i = 0; i < device_count; i++) {
    const Device* d = &devices[i];
    if (!is_among(d, now, count)) say("L2 gone %2:%2.%x", d->bus, d->slot, d->function);
  }
  for (int i = 0; i < count; i++) {
    const Device* d = &now[i];
    if (is_among(d, devices, device_count)) continue;
    say("L2 found %2:%2.%x %4:%4", d->bus, d->slot, d->function, d->vendor, d->device);
    for (int bar = 0; bar < 6; bar++) {
      if (d->bar_log2[bar] >= 32)
        say("L2 large %2:%2.%x BAR %x of 1 << %2", d->bus, d->slot, d->function, bar, d->bar_log2[bar]);
    }
    drive(d, 0);
  }
  for (int i = 0; i < count; i++) devices[i] = now[i];
  device_count = count;
}

static u32 use_all(void) {
  u32 used = 0;
  for (int i = 0; i < device_count; i++) used += drive(&devices[i], 1);
  return used;
}

void main(u32 magic, const BootInformation* boot) {
  const char* words = magic == 0x2badb002 && boot->flags & 4 ? (const char*)boot->command_line : "";
  const int deaf = is_word_in("deaf", words), busy = is_word_in("busy", words);
  int hesitant = is_word_in("hesitant", words);
  u32 uses = 0;
  irq_setup();
  look();
  say("L2 ready");
  for (;;) {
    int changed = 0;
    for (u32 bus = 0; bus < kBuses; bus++) {
      outl(kSelect, bus);
      const u32 plugged = inl(kPlugged), requested = inl(kRequested);
      if (plugged != ~0u && plugged) changed = 1;
      if (requested == ~0u || !requested) continue;
      say("L2 asked");
      if (deaf) continue;
      if (hesitant) {
        hesitant = 0;
        continue;
      }
      if (busy) {
        say("L2 kept using: %x", uses);
        uses = 0;
      }
      say("L2 lets go");
      outl(kSelect, bus);
      outl(kEject, requested);
      changed = 1;
    }
    if (changed) look();
    if (busy) uses += use_all();
  }
}
