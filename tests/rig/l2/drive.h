// Uses a device as a driver would, and says what worked:
//
//   L2 works BB:SS.F framebuffer      what was drawn into its memory is there
//   L2 works BB:SS.F dma              it fetched bytes from this guest's memory and wrote them back elsewhere
//   L2 works BB:SS.F interrupt        its MSI arrived
//   L2 works BB:SS.F audio | rom | command
//   L2 broken BB:SS.F WHAT            it did not
#pragma once

#include "pci.h"

// 1: something was known about it, and all of it worked. `quiet` says nothing unless it is broken.
int drive(const Device* device, int quiet);
