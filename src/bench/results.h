// What was measured, and the file that keeps it.
//
// The unit is one run of one program in a process of its own. A result file is JSON lines: a header, the machine's
// fingerprint, one line per run as soon as it has ended, and the fingerprint again at the end. Each line is written and
// synced before the next run begins, so a file that ends early is a good file with fewer runs.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace nm::bench {

using Json = nlohmann::ordered_json;

inline constexpr int kResultFormat = 1;

// One figure of a run: "sgemm_n, GFLOPS, higher is better", and what each pass of the process gave.
struct Sample {
  std::string metric, unit;
  bool higher_is_better = true;
  bool pcie = false;           // its time includes transfers between host and device
  bool detail = false;         // a part of another figure: shown, and no member of a mean
  std::vector<double> values;  // one a pass, in order, without warm-up; finite; never empty
  // The point of a curve: empty, or the curve's name, where on it this is, and in what unit.
  std::string series;
  std::optional<double> x;
  std::string x_unit;

  double summary() const;  // the median of `values`: what a run counts with
};

struct Check {
  std::string what;
  bool ok = false;
  double error = 0, bound = 0;
};

struct Skip {
  std::string metric, why;
};

// How a run ended. Only a run that is `ok` counts in a comparison; every other one is kept, said and counted.
enum class Status {
  ok,
  skipped,       // the program cannot run on this device or API (status 77)
  check_failed,  // a result was wrong or not finite (status 1)
  failed,        // the program says that it failed, or the device did
  crashed,       // a signal, or an end without the line `end`
  hung,          // ended by us after its time limit
  rubbish,       // what it printed is not what a benchmark program prints
  not_started,   // the target's command could not be started
  other_gpu,     // another GPU than before, or than the other target's
  other_suite,   // another version of the suite than before
  interrupted,   // ended by us, because somebody pressed Ctrl-C
};
const char* status_name(Status status);
std::optional<Status> status_of(std::string_view name);

// One process.
struct Run {
  // Where it belongs.
  std::string target;                // the label, as on the command line
  bool self = false;                 // the A/A run: the first target once more
  bool warm_up = false;              // kept, but counts nowhere
  int64_t pair = 0;                  // runs of one pair are compared; two pairs make a block
  int64_t position = 0;              // when it ran: 0 is the first process of the session
  std::vector<std::string> command;  // as it was executed
  std::string started;               // 2026-12-01T02:12:31.123Z
  double seconds = 0;                // of wall time, by our clock
  // What the program said of itself.
  std::string program, suite, api, size;
  std::optional<int64_t> level;  // 0-2, of suite shoc only
  std::string suite_version;
  int64_t passes = 0;
  uint64_t seed = 0;
  // What it measured.
  Json device;        // the line `device`, NVML's state before in "state"; null: it named none
  Json device_after;  // NVML's state after; null: not said
  std::vector<Sample> samples;
  std::vector<Check> checks;
  std::vector<Skip> skips;
  // How it ended.
  Status status = Status::ok;
  std::string sentence;  // why, unless it is ok
  std::string ended;     // "exited with status 0"

  std::string device_name() const;  // empty: not said
  std::string device_uuid() const;
};

struct TargetInfo {
  std::string label;
  std::vector<std::string> command;  // the prefix; empty: native
};

// One session of `bench run` or `bench compare`.
struct ResultFile {
  std::string path;  // where it was read from; empty: not saved
  // The header.
  int format = kResultFormat;
  std::string suite_version;  // empty: scenarios only
  std::string nearmetal;      // the release that ran it
  std::string session;        // random: pairs exist within one session only
  std::string verb;           // "run" or "compare"
  std::string started;
  uint64_t seed = 0;  // of the order
  int64_t pairs = 0;  // planned
  std::vector<TargetInfo> targets;

  std::vector<Json> fingerprints;  // before, and after if the session came to its end; each has "when"
  std::vector<Run> runs;           // in the order in which they ran
  bool complete = false;           // the line `end` is there, and says so

  // Of the machine that ran it, read from the fingerprint; empty where that does not say.
  std::string host() const;
  std::string boot() const;
};

double median(std::vector<double> values);  // of at least one

}  // namespace nm::bench
