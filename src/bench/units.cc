#include "bench/units.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace nm::bench {
namespace {

// NVML's nvmlClocksEventReasons: what is none of the program's doing. Not among them: idle, a clock that somebody set,
// the power cap of the card in its normal range (software), sync boost, the display.
struct Reason {
  uint64_t bit;
  const char* what;
};
constexpr Reason kThrottled[] = {
    {0x08, "the hardware slowed the clocks down"},
    {0x20, "the driver slowed the clocks down for heat"},
    {0x40, "the hardware slowed the clocks down for heat"},
    {0x80, "the hardware slowed the clocks down because power failed it"},
};

void once(std::vector<std::string>& list, const std::string& entry) {
  if (!entry.empty() && std::find(list.begin(), list.end(), entry) == list.end()) list.push_back(entry);
}

uint64_t bits_of(const Json& value) {
  if (value.is_number_integer()) return value.get<uint64_t>();
  if (!value.is_string()) return 0;
  const auto& text = value.get_ref<const std::string&>();
  uint64_t bits = 0;
  const size_t skip = text.starts_with("0x") ? 2 : 0;
  std::from_chars(text.data() + skip, text.data() + text.size(), bits, skip ? 16 : 10);
  return bits;
}

std::string reason_in(const Json& state) {
  if (!state.is_object()) return "";
  if (const auto found = state.find("clocks_event_reasons"); found != state.end()) {
    const uint64_t bits = bits_of(*found);
    for (const Reason& reason : kThrottled) {
      if (bits & reason.bit) return reason.what;
    }
  }
  if (const auto xid = state.find("xid"); xid != state.end()) {
    if (xid->is_array() ? !xid->empty() : bits_of(*xid) != 0) return fmt::format("the driver met XID {}", xid->dump());
  }
  return "";
}

MetricComparison names_of(const Run& run, const Sample& sample) {
  MetricComparison info;
  info.suite = run.suite;
  info.level = run.level;
  info.program = run.program;
  info.api = run.api;
  info.size = run.size;
  info.metric = sample.metric;
  info.unit = sample.unit;
  info.higher_is_better = sample.higher_is_better;
  info.pcie = sample.pcie;
  info.detail = sample.detail;
  info.series = sample.series;
  info.x = sample.x;
  info.x_unit = sample.x_unit;
  return info;
}

Fault fault_of(const Arm& arm, const Run& run) {
  return {.target = arm.label,
          .program = run.program,
          .api = run.api,
          .self = run.self,
          .pair = run.pair,
          .status = run.status,
          .sentence = run.sentence};
}

void add_sample(Units& units, const Run& run, const Sample& sample, Round round) {
  const MetricComparison info = names_of(run, sample);
  const double value = sample.summary();
  if (!(value > 0) || !std::isfinite(value)) {
    once(units.notes, fmt::format("{}, {}: a value of {} has no ratio; that run of it is left out.", run.program,
                                  sample.metric, value));
    return;
  }
  const auto [at, fresh] = units.place.try_emplace(key_of(info), units.columns.size());
  if (fresh) units.columns.push_back({info, {}});
  Column& column = units.columns[at->second];
  if (column.info.unit != info.unit || column.info.higher_is_better != info.higher_is_better) {
    once(units.notes, fmt::format("{}, {}: was measured in {} first and then in {}; the latter is left out.",
                                  run.program, sample.metric, column.info.unit, info.unit));
    return;
  }
  column.units[round] = {.value = value, .performance = info.higher_is_better ? std::log(value) : -std::log(value)};
}

}  // namespace

std::string key_of(const MetricComparison& info) {
  return info.suite + '\n' + info.program + '\n' + info.api + '\n' + info.size + '\n' + info.metric;
}

const Column* Units::find(const MetricComparison& info) const {
  const auto found = place.find(key_of(info));
  return found == place.end() ? nullptr : &columns[found->second];
}

std::string drop_reason(const Run& run) {
  if (run.device.is_object() && run.device.contains("state")) {
    if (const auto why = reason_in(run.device["state"]); !why.empty()) return why + " before the run.";
  }
  if (const auto why = reason_in(run.device_after); !why.empty()) return why + " during the run.";
  return "";
}

Units collect(const Arm& arm) {
  Units units;
  std::vector<std::string> boots;
  for (size_t i = 0; i < arm.sources.size(); ++i) {
    const Source& source = arm.sources[i];
    once(boots, source.file->boot());
    for (const Run& run : source.file->runs) {
      if (run.target != source.target || run.self != source.self) continue;
      if (run.status == Status::interrupted) continue;
      if (run.status == Status::skipped) {
        if (run.warm_up || run.pair == 0) units.skipped.push_back(fault_of(arm, run));
        continue;
      }
      if (run.status != Status::ok) {
        units.failed.push_back(fault_of(arm, run));
        continue;
      }
      once(units.devices, run.device_name());
      once(units.suite_versions, run.suite_version);
      if (run.warm_up) continue;
      if (const std::string why = drop_reason(run); !why.empty()) {
        units.dropped.push_back(fault_of(arm, run));
        units.dropped.back().sentence = why;
        continue;
      }
      for (const Sample& sample : run.samples) add_sample(units, run, sample, {i, run.pair});
    }
  }
  units.boots = boots.size();
  return units;
}

}  // namespace nm::bench
