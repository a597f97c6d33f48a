#include "irq.h"

enum { kVector = 0x40, kSpurious = 0xff, kLocalApic = 0xfee00000 };

extern void on_interrupt(void);
extern void on_spurious(void);
extern volatile u32 interrupts;

static struct { u16 low, selector, kind, high; } __attribute__((packed)) gates[256];

static void set_gate(int vector, void (*handler)(void)) {
  const u32 at = (u32)handler;
  gates[vector].low = at;
  gates[vector].selector = 8;
  gates[vector].kind = 0x8e00;  // present, 32-bit interrupt gate
  gates[vector].high = at >> 16;
}

void irq_setup(void) {
  // The firmware left its timer and keyboard going.
  outb(0x21, 0xff);
  outb(0xa1, 0xff);
  set_gate(kVector, on_interrupt);
  set_gate(kSpurious, on_spurious);
  const struct {
    u16 limit;
    u32 base;
  } __attribute__((packed)) table = {sizeof gates - 1, (u32)gates};
  __asm__ volatile("lidt %0" : : "m"(table));
  *mem32(kLocalApic + 0xf0) = 0x100 | kSpurious;
  __asm__ volatile("sti");
}

int irq_take_msi(const Device* device) {
  const int at = capability(device, 0x05, 0);
  if (!at) return 0;
  const u32 control = config(device, at) >> 16 & 0xffff;
  set_config(device, at + 4, kLocalApic);
  int data = at + 8;
  if (control & 0x80) {
    set_config(device, at + 8, 0);
    data = at + 12;
  }
  set_config(device, data, kVector);
  set_config(device, at, (config(device, at) & 0xffff) | ((control & ~0x70u) | 1) << 16);
  return 1;
}

u32 irq_count(void) { return interrupts; }
