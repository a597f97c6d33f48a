// PCI configuration space, and what a firmware does at boot but nobody does after a hot-plug: giving addresses to BARs.
#pragma once

#include "io.h"

typedef struct {
  u8 bus, slot, function;
  u16 vendor, device;
  u32 bar[6];       // addresses below 4 GiB; 0: none, or not placed
  u32 bar_log2[6];  // the size is 1 << this; 0: there is none
} Device;

u32 config(const Device* device, int at);
void set_config(const Device* device, int at, u32 value);

// Where capability `id` begins, at or after `from` (0: the first); 0: there is none.
int capability(const Device* device, int id, int from);

// Every function that is no bridge and lies behind a port, up to `most`, with its BARs placed and its memory and bus
// mastering on.
int find_devices(Device* found, int most);
