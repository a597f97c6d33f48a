#include "drive.h"

#include "irq.h"
#include "virtio_gpu.h"

enum { kPatience = 20000000 };  // rounds of a wait: an emulated guest on a loaded machine is slow

static int tell(const Device* device, int works, const char* what, int quiet) {
  if (!works || !quiet) {
    say("L2 %s %2:%2.%x %s", works ? "works" : "broken", device->bus, device->slot, device->function, what);
  }
  return works;
}

static void put_dispi(u32 registers, int index, u16 value) { *mem16(registers + 0x500 + 2 * index) = value; }

// QEMU's standard graphics: the framebuffer is BAR 0, the registers of its mode are in BAR 2.
static int drive_bochs(const Device* device, int quiet) {
  const u32 frame = device->bar[0], registers = device->bar[2];
  if (!frame || !registers) return tell(device, 0, "framebuffer: it has no place", 0);
  if ((*mem16(registers + 0x500) & 0xfff0) != 0xb0c0)
    return tell(device, 0, "framebuffer: the registers do not answer", 0);
  put_dispi(registers, 4, 0);
  put_dispi(registers, 1, 640);
  put_dispi(registers, 2, 480);
  put_dispi(registers, 3, 32);
  put_dispi(registers, 4, 0x41);  // on, linear
  int works = 1;
  for (u32 i = 0; i < 1024; i++) mem32(frame)[i * 61] = 0x5eed0000 + i;
  for (u32 i = 0; i < 1024; i++) works &= mem32(frame)[i * 61] == 0x5eed0000 + i;
  return tell(device, works, "framebuffer", quiet);
}

static u32 bytes[2][64] __attribute__((aligned(4096)));

// QEMU's device for teaching: a DMA engine with a buffer of its own at 0x40000, and an MSI on demand.
static int edu_copies(u32 registers, u32 from, u32 to, u32 command) {
  volatile u32* m = mem32(registers);
  m[0x80 / 4] = from, m[0x84 / 4] = 0;
  m[0x88 / 4] = to, m[0x8c / 4] = 0;
  m[0x90 / 4] = sizeof bytes[0], m[0x94 / 4] = 0;
  m[0x98 / 4] = command;
  for (int i = 0; i < kPatience; i++) {
    if (!(m[0x98 / 4] & 1)) return 1;
  }
  return 0;
}

static int drive_edu(const Device* device, int quiet) {
  static u32 round;
  const u32 registers = device->bar[0];
  if (!registers) return tell(device, 0, "dma: it has no place", 0);
  round++;
  for (int i = 0; i < 64; i++) bytes[0][i] = round << 16 | i, bytes[1][i] = 0;
  int works = edu_copies(registers, (u32)bytes[0], 0x40000, 1) && edu_copies(registers, 0x40000, (u32)bytes[1], 3);
  for (int i = 0; i < 64; i++) works &= *(volatile u32*)&bytes[1][i] == (round << 16 | i);
  works = tell(device, works, "dma", quiet);

  int arrived = 0;
  if (irq_take_msi(device)) {
    const u32 before = irq_count();
    mem32(registers)[0x60 / 4] = 1;
    for (int i = 0; i < kPatience && !arrived; i++) arrived = irq_count() != before;
    mem32(registers)[0x64 / 4] = 1;
  }
  return tell(device, arrived, "interrupt", quiet) && works;
}

// Intel's HD audio: its controller leaves reset when told to, and then says which codecs there are.
static int drive_hda(const Device* device, int quiet) {
  const u32 registers = device->bar[0];
  if (!registers) return tell(device, 0, "audio: it has no place", 0);
  *mem32(registers + 8) = 0;
  for (int i = 0; i < kPatience && *mem32(registers + 8) & 1; i++) {
  }
  *mem32(registers + 8) = 1;
  for (int i = 0; i < kPatience && !(*mem32(registers + 8) & 1); i++) {
  }
  return tell(device, *mem32(registers + 8) & 1 && *mem8(registers + 3) == 1, "audio", quiet);
}

static int drive_qxl(const Device* device, int quiet) {
  const u32 rom = device->bar[2];
  return tell(device, rom && *mem32(rom) == 0x4f525851, "rom", quiet);  // QXRO
}

static int drive_virtio_gpu(const Device* device, int quiet) {
  const char* complaint = virtio_gpu_asks_displays(device);
  return tell(device, !complaint, complaint ? complaint : "command", quiet);
}

int drive(const Device* device, int quiet) {
  switch ((u32)device->vendor << 16 | device->device) {
    case 0x12341111:
      return drive_bochs(device, quiet);
    case 0x123411e8:
      return drive_edu(device, quiet);
    case 0x8086293e:
      return drive_hda(device, quiet);
    case 0x1b360100:
      return drive_qxl(device, quiet);
    case 0x1af41050:
      return drive_virtio_gpu(device, quiet);
  }
  return 0;
}
