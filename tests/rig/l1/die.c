/* Ends a process at a moment that matters: preloaded into nearmetal, it counts the calls that make what was written
 * durable, and at number RIG_DIE_AT does not come back from it.
 *
 *   RIG_DIE_BEFORE  (set) before the bytes are on the disk; else just after
 *   RIG_DIE_BY      "kill": SIGKILL. "stop": SIGSTOP, and it goes on when continued. "power": the machine's power is
 *                   cut, which the runner does; see rig.py
 *   RIG_DIE_COUNT   a file that is given the number of calls, when the process ends by itself
 *
 * The journal is made durable before and after each step, so these moments are those between two steps, and that before
 * the first and after the last. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int calls;
static pid_t owner; /* a child that writes for the process does not count */

__attribute__((constructor)) static void begin(void) { owner = getpid(); }

static void die(void) {
  const char* by = getenv("RIG_DIE_BY");
  if (by && strcmp(by, "power") == 0) {
    const char word[] = "@rig powercut\n";
    const int line = open("/dev/ttyS1", O_WRONLY);
    if (line < 0 || write(line, word, sizeof word - 1) < 0) _exit(99);
    for (;;) pause();
  }
  kill(getpid(), by && strcmp(by, "stop") == 0 ? SIGSTOP : SIGKILL);
}

static int counted(const char* name, int fd) {
  int (*genuine)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  const char* at = getenv("RIG_DIE_AT");
  if (getpid() != owner) return genuine(fd);
  const int now = ++calls == (at ? atoi(at) : 0);
  if (now && getenv("RIG_DIE_BEFORE")) die();
  const int result = genuine(fd);
  if (now) die();
  return result;
}

int fsync(int fd) { return counted("fsync", fd); }
int fdatasync(int fd) { return counted("fdatasync", fd); }

__attribute__((destructor)) static void end(void) {
  const char* path = getenv("RIG_DIE_COUNT");
  if (!path || getpid() != owner) return;
  FILE* file = fopen(path, "w");
  if (!file) return;
  fprintf(file, "%d\n", calls);
  fclose(file);
}
