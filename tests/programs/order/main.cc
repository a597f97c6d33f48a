// The order in which a GPU does what threads tell it, tried with random programs that have one right result each.
//
//   nm_order [--seeds FROM COUNT] [--ops N] [--seconds S] [--repeat R] [--timeout S] [--without KINDS]
//            [--keep LIST] [--list]
//   nm_order --shrink SEED [--ops N] [--repeat R] [--timeout S] [--without KINDS]
//
// A seed makes a program of up to N operations (default 300): launches whose order shows in their result, fills, copies
// of 1 byte to 5 MiB from and to pageable, pinned, registered and mapped memory, events, host functions, pooled memory,
// captured graphs, in 1 to 4 threads and 7 to 14 streams, with work handed from thread to thread. It is free of races
// (clocks.h proves each one so), and what memory must hold, at its end and wherever it looks, is computed here. Plain
// driver API, knows nothing of nearmetal: natively and through it, a seed prints the same line.
//
//   --seconds  more seeds until so much time has passed, at least COUNT
//   --repeat   each program so often: what goes wrong may do so only now and then
//   --timeout  seconds for one program, 60 if not said
//   --without  leaves out some of pinned, registered, mapped, registered-mapped, pooled, graphs, host-functions
//   --keep     only these operations of each program, e.g. 0-7,12
//   --list     says the programs and runs nothing
//   --shrink   leaves out operations of a program that fails, as long as it still fails and is free of races
//
// Exit status: 0 all right, 1 a wrong result, 2 a call failed, 3 a program did not end, 4 not understood.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <vector>

#include "order/clocks.h"
#include "order/generate.h"
#include "order/run.h"
#include "order/shrink.h"

using namespace order;

namespace {

struct Options {
  uint64_t from = 0, count = 1;
  int ops = 300, seconds = 0, repeat = 1, timeout = 60;
  bool list = false, shrink = false;
  std::string keep, without;
};

bool read_options(int argc, char** argv, Options* o) {
  auto number = [&](int i) { return i < argc ? strtoull(argv[i], nullptr, 10) : 0; };
  for (int i = 1; i < argc; i++) {
    const std::string word = argv[i];
    if (word == "--list") {
      o->list = true;
    } else if (word == "--seeds" && i + 2 < argc) {
      o->from = number(i + 1);
      o->count = number(i + 2);
      i += 2;
    } else if (i + 1 >= argc) {
      return false;
    } else if (word == "--ops") {
      o->ops = static_cast<int>(number(++i));
    } else if (word == "--seconds") {
      o->seconds = static_cast<int>(number(++i));
    } else if (word == "--repeat") {
      o->repeat = static_cast<int>(number(++i));
    } else if (word == "--timeout") {
      o->timeout = static_cast<int>(number(++i));
    } else if (word == "--without") {
      o->without = argv[++i];
    } else if (word == "--keep") {
      o->keep = argv[++i];
    } else if (word == "--shrink") {
      o->shrink = true;
      o->from = number(++i);
    } else {
      return false;
    }
  }
  return o->ops > 0 && o->repeat > 0;
}

// False: its result was wrong.
bool run_seed(uint64_t seed, const Options& o) {
  const std::string again = "nm_order --seeds " + std::to_string(seed) + " 1 --ops " + std::to_string(o.ops) +
                            (o.without.empty() ? "" : " --without " + o.without);
  Program program = generate(seed, o.ops, o.without);
  std::vector<int> ids;
  if (!o.keep.empty()) {
    if (!read_list(o.keep, &ids)) {
      fprintf(stderr, "order: %s is no list of operations.\n", o.keep.c_str());
      exit(4);
    }
    program = keep_only(program, ids);
  }
  if (std::string race = verify(program); !race.empty()) {
    fprintf(stderr, "order: seed %llu is no program to try: %s\n", static_cast<unsigned long long>(seed), race.c_str());
    exit(4);
  }
  if (o.list) {
    for (const Op& op : program.ops) printf("%s\n", describe(program, op).c_str());
    return true;
  }
  Outcome outcome;
  for (int i = 0; i < o.repeat && !outcome.wrong; i++) outcome = run(program, o.timeout);
  printf("seed %llu: %d threads, %zu operations, digest %016llx, %s\n", static_cast<unsigned long long>(seed),
         program.threads, program.ops.size(), static_cast<unsigned long long>(outcome.digest),
         outcome.wrong ? "WRONG" : "right");
  if (outcome.wrong) {
    printf("%s  again: %s%s%s\n", explain(program, *outcome.wrong).c_str(), again.c_str(),
           o.keep.empty() ? "" : " --keep ", o.keep.c_str());
  }
  fflush(stdout);
  return !outcome.wrong;
}

int shrink_seed(const Options& o, const char* self) {
  Program program = generate(o.from, o.ops, o.without);
  std::vector<int> ids;
  for (const Op& op : program.ops) ids.push_back(op.id);
  std::vector<std::string> command = {self,
                                      "--seeds",
                                      std::to_string(o.from),
                                      "1",
                                      "--ops",
                                      std::to_string(o.ops),
                                      "--repeat",
                                      std::to_string(o.repeat),
                                      "--timeout",
                                      std::to_string(o.timeout),
                                      "--without",
                                      o.without};
  ids = shrink(program, ids, command);
  for (const Op& op : keep_only(program, ids).ops) printf("%s\n", describe(program, op).c_str());
  printf("again: nm_order --seeds %llu 1 --ops %d --repeat %d --without '%s' --keep %s\n",
         static_cast<unsigned long long>(o.from), o.ops, o.repeat, o.without.c_str(), write_list(ids).c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  if (!read_options(argc, argv, &o)) {
    fprintf(stderr,
            "usage: nm_order [--seeds FROM COUNT] [--ops N] [--seconds S] [--repeat R] [--timeout S] [--without KINDS] "
            "[--keep LIST] [--list] | --shrink SEED\n");
    return 4;
  }
  if (o.shrink) {
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0) return 4;
    self[n] = 0;
    return shrink_seed(o, self);
  }
  if (!o.list) start_driver();
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(o.seconds);
  uint64_t wrong = 0, tried = 0;
  for (; tried < o.count || std::chrono::steady_clock::now() < end; tried++) wrong += !run_seed(o.from + tried, o);
  if (!o.list)
    printf("%llu programs, %llu wrong\n", static_cast<unsigned long long>(tried),
           static_cast<unsigned long long>(wrong));
  return wrong ? 1 : 0;
}
