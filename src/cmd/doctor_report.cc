#include "cmd/doctor_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/grid.h"

namespace nm::cmd {
namespace {

using inventory::Diagnosis;
using inventory::Finding;
using inventory::Fix;
using inventory::Level;
using nlohmann::ordered_json;

Tint tint_of(Level level) {
  switch (level) {
    case Level::ok:
      return Tint::good;
    case Level::warn:
      return Tint::unsure;
    case Level::fail:
      return Tint::bad;
  }
  return Tint::none;
}

// "add to FILE:  LINE", "run:  COMMAND", or what is to be done by hand.
std::vector<std::string> fix_lines(const Fix& fix) {
  std::vector<std::string> lines;
  if (!fix.advice.empty()) lines.push_back(fix.advice);
  if (!fix.file.empty()) lines.push_back(fmt::format("in {}:  {}", fix.file, fix.line));
  if (!fix.command.empty()) lines.push_back("run:  " + fix.command);
  return lines;
}

ordered_json or_null(const std::string& text) { return text.empty() ? ordered_json() : ordered_json(text); }

size_t count(const Diagnosis& diagnosis, Level level) {
  return static_cast<size_t>(std::count_if(diagnosis.findings.begin(), diagnosis.findings.end(),
                                           [&](const Finding& finding) { return finding.level == level; }));
}

}  // namespace

std::vector<std::string> diagnosis_lines(const Diagnosis& diagnosis, bool colour) {
  Grid grid;
  for (const Finding& finding : diagnosis.findings) {
    grid.row({{std::string(inventory::word(finding.level)), tint_of(finding.level), true},
              {finding.check, Tint::faint, true},
              {finding.object, Tint::strong, true},
              {finding.found, Tint::none, true}});
  }
  const std::vector<std::string> rows = grid.lines(colour);
  std::vector<std::string> lines;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Finding& finding = diagnosis.findings[i];
    lines.push_back(rows[i]);
    if (finding.level == Level::ok) continue;
    if (!finding.why.empty()) lines.push_back("      " + tinted("why  " + finding.why, Tint::faint, colour));
    bool first = true;
    for (const Fix& fix : finding.fixes) {
      for (const std::string& line : fix_lines(fix)) {
        lines.push_back((first ? "      " + tinted("fix", Tint::fast, colour) + "  " : "           ") + line);
        first = false;
      }
    }
  }
  return lines;
}

std::string verdict_sentence(const Diagnosis& diagnosis) {
  const size_t warnings = count(diagnosis, Level::warn), failures = count(diagnosis, Level::fail);
  const auto number = [](size_t n, const char* what) { return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s"); };
  if (diagnosis.ready()) {
    return fmt::format("Ready: {} of {} can be handed to a virtual machine; {}.", diagnosis.gpus_ready,
                       number(diagnosis.gpus, "GPU"), number(warnings, "warning"));
  }
  return fmt::format("Not ready: {} to be cured first, and {}.", number(failures, "failure"),
                     number(warnings, "warning"));
}

ordered_json diagnosis_json(const Diagnosis& diagnosis) {
  auto findings = ordered_json::array();
  for (const Finding& finding : diagnosis.findings) {
    auto fixes = ordered_json::array();
    for (const Fix& fix : finding.fixes) {
      fixes.push_back({{"file", or_null(fix.file)},
                       {"line", or_null(fix.line)},
                       {"command", or_null(fix.command)},
                       {"advice", or_null(fix.advice)}});
    }
    findings.push_back({{"level", inventory::word(finding.level)},
                        {"check", finding.check},
                        {"object", finding.object},
                        {"gpu", finding.gpu ? ordered_json(finding.gpu->text()) : ordered_json()},
                        {"found", finding.found},
                        {"why", or_null(finding.why)},
                        {"fixes", std::move(fixes)}});
  }
  return {{"ready", diagnosis.ready()},
          {"gpus", diagnosis.gpus},
          {"gpus_ready", diagnosis.gpus_ready},
          {"findings", std::move(findings)}};
}

}  // namespace nm::cmd
