// The smallest driver of a virtio GPU: resets it, gives it one queue, and asks which displays it has. The question is
// fetched and the answer written by DMA.
#pragma once

#include "pci.h"

const char* virtio_gpu_asks_displays(const Device* device);  // 0: it answered; else what went wrong
