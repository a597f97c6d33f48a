// Results in the shape of SHOC's own detailed dump: a line a figure, then its trials, columns separated by tabs. A unit
// (the median of one process) is a trial; the target, size and API stand where SHOC has a test's attributes.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "bench/report.h"

namespace nm::bench {
namespace {

struct Column {
  std::string unit;
  std::vector<double> trials;
};

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

// Of the sample, n - 1; SHOC divides by n.
double deviation(const std::vector<double>& values) {
  if (values.size() < 2) return 0;
  const double middle = mean(values);
  double sum = 0;
  for (const double value : values) sum += (value - middle) * (value - middle);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

std::string plain(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\t' || c == '\n' || c == '\r'; }, ' ');
  return text;
}

}  // namespace

std::string shoc_tsv(const Comparison&, const std::vector<ResultFile>& files) {
  std::vector<std::string> order;
  std::map<std::string, Column> columns;
  size_t most = 0;
  for (const ResultFile& file : files) {
    for (const Run& run : file.runs) {
      if (run.warm_up || run.self || run.status != Status::ok) continue;
      for (const Sample& sample : run.samples) {
        const std::string key =
            plain(sample.metric) + "\t" + plain(fmt::format("{},{},{}", run.target, run.size, run.api));
        const auto [at, fresh] = columns.try_emplace(key);
        if (fresh) order.push_back(key);
        at->second.unit = plain(sample.unit);
        at->second.trials.push_back(sample.summary());
        most = std::max(most, at->second.trials.size());
      }
    }
  }
  std::string text = "test\tatts\tunits\tmedian\tmean\tstddev\tmin\tmax";
  for (size_t i = 0; i < most; ++i) text += fmt::format("\ttrial{}", i);
  text += "\n";
  for (const std::string& key : order) {
    const Column& column = columns[key];
    const auto [low, high] = std::minmax_element(column.trials.begin(), column.trials.end());
    text += fmt::format("{}\t{}\t{:.6g}\t{:.6g}\t{:.6g}\t{:.6g}\t{:.6g}", key, column.unit, median(column.trials),
                        mean(column.trials), deviation(column.trials), *low, *high);
    for (const double trial : column.trials) text += fmt::format("\t{:.6g}", trial);
    text += "\n";
  }
  return text;
}

}  // namespace nm::bench
