// For tests: a comparison as a day of measuring would leave it, made from a seed. Two targets, one near native and one
// over a network, with curves, an outlier, a figure that is faster, and names that try to break the page.
#pragma once

#include <cmath>
#include <random>

#include "bench/comparison.h"

namespace nm::bench {

struct Example {
  Comparison comparison;
  std::vector<ResultFile> files;
};

inline Example example_report(const std::string& label = "tcp") {
  std::mt19937_64 random(7);
  std::normal_distribution<double> noise(0, 0.004);
  Comparison all;
  all.suite_version = "1";
  all.pairs_planned = 20;
  all.reference = "native";
  all.reference_device = "NVIDIA H200";
  all.quiet = true;
  const auto metric = [&](const std::string& suite, std::optional<int64_t> level, const std::string& program,
                          const std::string& name, const std::string& unit, double value, double ratio, bool pcie,
                          bool higher = true) {
    MetricComparison m;
    m.suite = suite, m.level = level, m.program = program, m.metric = name, m.unit = unit, m.api = "cuda",
    m.size = "shoc";
    m.pcie = pcie, m.higher_is_better = higher;
    double sum = 0;
    for (int64_t pair = 0; pair < 20; ++pair) {
      m.reference.push_back(value * std::exp(noise(random)));
      m.target.push_back((higher ? value * ratio : value / ratio) * std::exp(noise(random)));
      m.pairs_used.push_back(pair);
      sum += (higher ? 1 : -1) * std::log(m.target.back() / m.reference.back());
    }
    m.ratio = std::exp(sum / 20);
    m.t = m.bootstrap = {m.ratio * 0.9978, m.ratio * 1.0022};
    m.sd = 0.0057;
    m.p_holm = std::abs(m.ratio - 1) > 0.004 ? 0.00001 : 0.4;
    m.verdict = m.t.low > 0.99 && m.t.high < 1 / 0.99 ? Verdict::equivalent
                : m.ratio < 1                         ? Verdict::overhead
                                                      : Verdict::faster;
    m.detectable = 0.004;
    m.pairs_needed = 5;
    return m;
  };
  const auto target = [&](const std::string& name, double kernel, double transfer, double small) {
    TargetComparison t;
    t.label = name;
    t.command = {"nearmetal", "run", "--server", "tcp:127.0.0.1:4000"};
    t.device = "NVIDIA H200";
    t.metrics = {metric("shoc", 0, "BusSpeedDownload", "bspeed_download", "GB/s", 55.3, transfer, true),
                 metric("shoc", 0, "BusSpeedReadback", "bspeed_readback", "GB/s", 55.1, transfer, true),
                 metric("shoc", 0, "MaxFlops", "maxspflops", "GFLOPS", 61234, kernel, false),
                 metric("shoc", 0, "DeviceMemory", "gmem_readbw", "GB/s", 4012, kernel, false),
                 metric("shoc", 1, "GEMM", "sgemm_n", "GFLOPS", 48120, kernel, false),
                 metric("shoc", 1, "GEMM", "sgemm_n_pcie", "GFLOPS", 9120, transfer, true),
                 metric("shoc", 1, "Reduction", "reduction", "GB/s", 404, 1.03, false),
                 metric("shoc", 2, "S3D", "s3d", "GFLOPS", 812, kernel, false),
                 metric("path", {}, "LaunchLatency", "launch_sync", "us", 9.1, small, false, false)};
    for (double bytes = 4; bytes <= (64 << 20); bytes *= 4) {
      MetricComparison m = metric("path", {}, "HostCopies", "h2d_pinned/" + std::to_string(static_cast<int64_t>(bytes)),
                                  "GB/s", 55.0 * bytes / (bytes + 400000), transfer, true);
      m.series = "h2d_pinned", m.x = bytes, m.x_unit = "B";
      t.metrics.push_back(m);
    }
    t.metrics[6].outliers = {3};
    t.metrics[7].verdict = Verdict::inconclusive;
    t.metrics[7].pairs_needed.reset();
    for (const bool pcie : {false, true}) {
      for (int64_t level = 0; level < 4; ++level) {
        if (pcie && level == 3) continue;
        Summary s;
        s.suite = level == 3 ? "path" : "shoc", s.api = "cuda", s.pcie_only = pcie;
        if (level < 3) s.level = level;
        s.metrics = s.items = 4, s.pairs = 20;
        s.ratio = pcie ? transfer : level == 3 ? small : kernel;
        s.t = s.bootstrap = {s.ratio * 0.998, s.ratio * 1.002};
        s.verdict = s.ratio > 0.992 && s.ratio < 1.008 ? Verdict::equivalent
                    : s.ratio < 1                      ? Verdict::overhead
                                                       : Verdict::faster;
        s.worst_program = "Reduction", s.worst_metric = "reduction", s.worst_ratio = s.ratio * 0.985;
        s.worst = {s.ratio * 0.98, s.ratio * 0.99};
        t.summaries.push_back(s);
      }
    }
    return t;
  };
  all.targets = {target("rings", 1.0003, 0.9985, 0.91), target(label, 0.998, 0.36, 0.47)};
  all.self = target("native", 1.0001, 0.9999, 1.0);
  all.failed.push_back({label, "GEMM", "cuda", false, 3, Status::hung, "GEMM was ended after 60 s without a result."});
  all.failed.push_back({label, "GEMM", "cuda", false, 4, Status::hung, "GEMM was ended after 60 s without a result."});
  all.fingerprints = {
      Json{{"when", "before"}, {"host", "gpu7"}, {"kernel", "6.1"}, {"iommu", {{"types", {"identity"}}}}}};
  ResultFile file;
  file.targets = {{"native", {}}, {label, {"nearmetal", "run"}}};
  Run run;
  run.target = "native", run.program = "GEMM", run.suite = "shoc", run.level = 1, run.api = "cuda", run.size = "shoc";
  run.device = Json{{"name", "NVIDIA H200"}, {"state", {{"sm_clock_mhz", 1980}, {"throttle", {"none"}}}}};
  run.samples = {{"sgemm_n", "GFLOPS", true, false, false, {48100, 48150, 48125}, "", {}, ""}};
  for (int64_t pair = 0; pair < 3; ++pair) {
    run.pair = pair;
    file.runs.push_back(run);
    run.samples[0].values[1] += 10;
  }
  return {all, {file}};
}

}  // namespace nm::bench
