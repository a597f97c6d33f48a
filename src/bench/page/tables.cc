#include "bench/page/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "bench/page/svg.h"
#include "bench/papers.h"
#include "bench/report_words.h"

namespace nm::bench::page {
namespace {

std::string cell(const std::string& words, std::string_view classes = "") {
  return classes.empty() ? "<td>" + escaped(words) + "</td>"
                         : fmt::format("<td class=\"{}\">{}</td>", classes, escaped(words));
}

const Summary* summary_of(const TargetComparison& target, const Summary& like) {
  for (const Summary& summary : target.summaries) {
    if (summary.suite == like.suite && summary.api == like.api && summary.level == like.level &&
        summary.pcie_only == like.pcie_only) {
      return &summary;
    }
  }
  return nullptr;
}

std::string percent(double overhead) { return overhead_text(overhead); }

// A JSON object as rows "a.b.c" → value.
void flatten(const Json& value, const std::string& name, std::vector<std::pair<std::string, std::string>>& rows) {
  if (value.is_object()) {
    for (const auto& [key, inner] : value.items()) flatten(inner, name.empty() ? key : name + "." + key, rows);
  } else if (value.is_array() &&
             std::any_of(value.begin(), value.end(), [](const Json& one) { return one.is_object(); })) {
    for (size_t i = 0; i < value.size(); ++i) flatten(value[i], fmt::format("{}[{}]", name, i), rows);
  } else if (value.is_array()) {
    std::string all;
    for (const Json& one : value)
      all += (all.empty() ? "" : ", ") + (one.is_string() ? one.get<std::string>() : one.dump());
    rows.emplace_back(name, all);
  } else if (value.is_number_float()) {
    rows.emplace_back(name, value_text(value.get<double>()));
  } else {
    rows.emplace_back(name, value.is_string() ? value.get<std::string>() : value.dump());
  }
}

// Named columns of flattened objects; a row that differs between columns is marked by its values standing apart.
std::string columns(const std::vector<std::pair<std::string, Json>>& objects) {
  std::vector<std::string> names;
  std::vector<std::map<std::string, std::string>> values;
  for (const auto& [title, object] : objects) {
    std::vector<std::pair<std::string, std::string>> rows;
    flatten(object, "", rows);
    values.emplace_back(rows.begin(), rows.end());
    for (const auto& [name, value] : rows) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  std::string html = "<div class=\"scroll\"><table><tr><th class=\"left\"></th>";
  for (const auto& [title, object] : objects) html += fmt::format("<th class=\"left\">{}</th>", escaped(title));
  html += "</tr>\n";
  for (const std::string& name : names) {
    html += "<tr>" + cell(name, "left");
    for (auto& column : values) html += cell(column.count(name) ? column[name] : "–", "left wrap");
    html += "</tr>\n";
  }
  return html + "</table></div>\n";
}

std::string papers_table() {
  std::string html = fmt::format(
      "<h3 style=\"margin-top:18px\">2014, for comparison: guests with a passed-through GPU against the same machine "
      "without "
      "({})</h3>\n<div class=\"scroll soft tight\"><table>\n<tr><th></th><th></th>",
      escaped(kPaperCitation));
  for (const std::string_view gpu : kPaperGpus)
    html += fmt::format("<th class=\"span first\" colspan=\"8\">{}</th>", gpu);
  html += "</tr>\n<tr><th></th><th></th>";
  for (size_t gpu = 0; gpu < std::size(kPaperGpus); ++gpu) {
    for (const std::string_view hypervisor : kPaperHypervisors)
      html += fmt::format("<th class=\"first\">{}</th><th>max</th>", hypervisor);
  }
  html += "</tr>\n";
  for (const bool pcie_only : {false, true}) {
    for (int level = 0; level < 3; ++level) {
      html += "<tr>" +
              cell(level > 0   ? ""
                   : pcie_only ? "PCIe only"
                               : "all",
                   "left") +
              cell(fmt::format("level {}", level), "left");
      for (const std::string_view gpu : kPaperGpus) {
        for (const std::string_view hypervisor : kPaperHypervisors) {
          const PaperRow* paper = paper_row(gpu, hypervisor, level, pcie_only);
          html += cell(std::string(paper->mean), "first") +
                  cell(std::string(paper->max) + (paper->max == "N/A" ? "" : " %"));
        }
      }
      html += "</tr>\n";
    }
  }
  return html + "</table></div>\n";
}

}  // namespace

std::string levels_table(const Comparison& comparison) {
  std::vector<Summary> rows;
  bool shoc = false;
  for (const bool pcie_only : {false, true}) {
    for (const TargetComparison& target : comparison.targets) {
      for (const Summary& summary : target.summaries) {
        if (summary.pcie_only != pcie_only) continue;
        const bool known = std::any_of(rows.begin(), rows.end(), [&](const Summary& row) {
          return row.suite == summary.suite && row.api == summary.api && row.level == summary.level &&
                 row.pcie_only == pcie_only;
        });
        if (!known) rows.push_back(summary);
        shoc = shoc || (summary.suite == "shoc" && summary.level);
      }
    }
  }
  if (rows.empty()) return "<p>Nothing was measured under both.</p>\n";
  std::string html = "<div class=\"scroll\"><table>\n<tr><th></th><th></th>";
  for (const TargetComparison& target : comparison.targets) {
    html += fmt::format("<th class=\"span first\" colspan=\"4\">{}</th>", escaped(target.label));
  }
  html += "</tr>\n<tr><th></th><th></th>";
  for (size_t i = 0; i < comparison.targets.size(); ++i)
    html += "<th class=\"first\">mean</th><th>interval</th><th>max overhead</th><th class=\"left\">verdict</th>";
  html += "</tr>\n";
  bool pcie = false;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Summary& row = rows[i];
    html += "<tr>" +
            cell(i == 0                   ? "all"
                 : row.pcie_only && !pcie ? "PCIe only"
                                          : "",
                 "left") +
            cell(level_text(row) + (row.api == "opencl" ? " (OpenCL)" : ""), "left");
    pcie = row.pcie_only;
    for (const TargetComparison& target : comparison.targets) {
      const Summary* summary = summary_of(target, row);
      if (!summary) {
        html += "<td class=\"first\">–</td><td></td><td></td><td></td>";
        continue;
      }
      html += cell(ratio_text(summary->ratio), "first") + cell(interval_text(summary->t));
      html += fmt::format(
          "<td title=\"{}\">{}</td>",
          escaped(fmt::format("{} · {}: {}, interval of the worst {}", summary->worst_program, summary->worst_metric,
                              ratio_text(summary->worst_ratio), interval_text(summary->worst))),
          percent(summary->max_overhead()));
      html += cell(verdict_name(summary->verdict), std::string("left ") + verdict_name(summary->verdict));
    }
    html += "</tr>\n";
  }
  html += "</table></div>\n";
  if (shoc) html += papers_table();
  return html;
}

std::string metrics_table(const Comparison& comparison) {
  std::string html;
  for (const TargetComparison& target : comparison.targets) {
    html += fmt::format("<details><summary>{}: {} figures</summary><div class=\"scroll\"><table>\n",
                        escaped(target.label), target.metrics.size());
    html +=
        "<tr><th class=\"left\">program</th><th class=\"left\">figure</th><th "
        "class=\"left\">unit</th><th>reference</th><th>target</th>"
        "<th>ratio</th><th>interval (t)</th><th>interval (BCa)</th><th>p "
        "(Holm)</th><th>pairs</th><th>detectable</th><th>pairs needed</th>"
        "<th class=\"left\">verdict</th></tr>\n";
    for (const MetricComparison& metric : target.metrics) {
      html += "<tr>" + cell(metric.program, "left") + cell(metric.metric + (metric.pcie ? " *" : ""), "left") +
              cell(metric.unit, "left");
      html += cell(value_text(median(metric.reference))) + cell(value_text(median(metric.target))) +
              cell(ratio_text(metric.ratio));
      html += cell(interval_text(metric.t)) + cell(interval_text(metric.bootstrap));
      html += cell(metric.p_holm < 0.0001 ? "< 0.0001" : fmt::format("{:.4f}", metric.p_holm));
      html += cell(fmt::format("{}{}", metric.count(),
                               metric.outliers.empty() ? "" : fmt::format(" ({} far out)", metric.outliers.size())));
      html += cell(std::isfinite(metric.detectable) ? overhead_text(metric.detectable) : "–");
      html += cell(metric.pairs_needed ? std::to_string(*metric.pairs_needed) : "> 10,000");
      html += cell(verdict_name(metric.verdict), std::string("left ") + verdict_name(metric.verdict)) + "</tr>\n";
    }
    html += "</table></div></details>\n";
  }
  return html + "<p class=\"soft\">* its time includes transfers between host and device.</p>\n";
}

std::string machines(const Comparison& comparison, const std::vector<ResultFile>& files) {
  std::string html;
  // The devices as the programs saw them, an arm a column.
  std::vector<std::pair<std::string, Json>> devices;
  for (const ResultFile& file : files) {
    for (const TargetInfo& target : file.targets) {
      for (const Run& run : file.runs) {
        if (run.target != target.label || run.status != Status::ok || run.device.is_null()) continue;
        Json device = run.device;
        if (!run.device_after.is_null()) device["state_after"] = run.device_after;
        if (device.contains("line")) device.erase("line");
        devices.emplace_back(target.label, device);
        break;
      }
    }
  }
  if (!devices.empty()) html += "<h3>The device, as the first run of each target saw it</h3>\n" + columns(devices);
  std::vector<std::pair<std::string, Json>> prints;
  for (const Json& print : comparison.fingerprints) {
    if (!print.is_object()) continue;
    const auto word = [&](const char* name) {
      return print.contains(name) && print[name].is_string() ? print[name].get<std::string>() : std::string();
    };
    prints.emplace_back(word("host") + ", " + word("when"), print);
  }
  if (!prints.empty()) html += "<h3 style=\"margin-top:18px\">The machine that measured</h3>\n" + columns(prints);
  return html;
}

}  // namespace nm::bench::page
