/* A driver for the tests of --driver: as many devices as FAKE_DRIVER_DEVICES says, cuInit's answer from
 * FAKE_DRIVER_INIT. "crash" in the former ends the process. */
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

static int number(const char* name) {
  const char* text = getenv(name);
  return text ? atoi(text) : 0;
}

EXPORT int cuInit(unsigned flags) {
  const char* devices = getenv("FAKE_DRIVER_DEVICES");
  (void)flags;
  if (devices && strcmp(devices, "crash") == 0) abort();
  return number("FAKE_DRIVER_INIT");
}

EXPORT int cuDeviceGetCount(int* count) {
  *count = number("FAKE_DRIVER_DEVICES");
  return 0;
}

/* The workers take nothing for a driver that lacks it. */
EXPORT int cuCtxSetCurrent(void* context) {
  (void)context;
  return 0;
}
