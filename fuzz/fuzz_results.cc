// What a stranger may have written into a result file, or a target may print where a benchmark program should: read,
// and what was read compared and shown.
#include <stdint.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>

#include "bench/compare.h"
#include "bench/report.h"
#include "bench/results_io.h"
#include "bench/workload_lines.h"

namespace {

using namespace nm::bench;

void must(bool holds) {
  if (!holds) abort();
}

void must_be_plain(const std::string& text) {
  must(
      std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }));
}

void must_be_sane(const Run& run) {
  must_be_plain(run.sentence + run.target + run.program);
  must(run.status == Status::ok || !run.sentence.empty() || run.ended.empty());
  for (const Sample& sample : run.samples) {
    must_be_plain(sample.metric);
    must(!sample.values.empty());
    for (double value : sample.values) must(std::isfinite(value));
  }
}

void read_program(std::string_view bytes, size_t piece) {
  Run run;
  run.program = "Triad";
  run.api = "cuda";
  run.size = "ci";
  WorkloadReader reader(run);
  for (size_t at = 0; at < bytes.size(); at += piece) {
    if (!reader.feed(bytes.substr(at, piece))) break;
  }
  reader.finish({}, "");
  must_be_sane(run);
  must(run.status != Status::ok || !run.samples.empty() || !run.skips.empty());
}

void read_file(std::string_view bytes) {
  const auto file = parse_results(bytes, "file");
  if (!file) {
    must(file.error().message.size() > 10);
    must_be_plain(file.error().message);
    return;
  }
  for (const Run& run : file->runs) {
    for (const Sample& sample : run.samples) must(!sample.values.empty());
  }
  const auto again = parse_results(to_lines(*file), "file");
  must(static_cast<bool>(again) && to_lines(*again) == to_lines(*file));
  run_table(*file, {});
  std::vector<Arm> arms;
  for (const TargetInfo& target : file->targets) arms.push_back({target.label, {{&*file, target.label}}});
  if (arms.size() < 2 || arms.size() > 4) return;
  const auto comparison = compare(arms, {.margin = 0.01, .seed = 1, .different_gpus = true, .resamples = 20});
  if (!comparison) return;
  terminal_report(*comparison, {*file}, {});
  json_report(*comparison);
  shoc_tsv(*comparison, {*file});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  read_program(bytes, 1'000'000);
  read_program(bytes, 7);
  read_file(bytes);
  return 0;
}
