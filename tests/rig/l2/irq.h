// Message-signalled interrupts, counted.
#pragma once

#include "pci.h"

void irq_setup(void);

// Has `device` send its MSI here. 0: it has none.
int irq_take_msi(const Device* device);

u32 irq_count(void);
