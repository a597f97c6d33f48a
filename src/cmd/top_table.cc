#include "cmd/top_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

namespace nm::cmd {
namespace {

struct Column {
  const char* title;
  bool right;
  int goes;  // when there is no room: the highest first; 0: never
  std::function<std::string(const TopRow&)> cell;
};

std::string transport_of(const wire::SessionStatus& session) {
  switch (session.transport) {
    case wire::StatusTransport::socket:
      return session.local ? "socket" : "tcp";
    case wire::StatusTransport::ring:
      return "ring";
    case wire::StatusTransport::unknown:
      break;
  }
  return "-";
}

std::string place_of(const wire::SessionStatus& session) {
  if (session.local) return "unix";
  return session.from.starts_with("tcp:") ? session.from.substr(4) : session.from;
}

std::string name_of(const wire::SessionStatus& session) {
  return (session.program.empty() ? "-" : session.program) + (session.nvml ? " (nvml)" : "");
}

std::string id_of(const wire::SessionStatus& session) { return fmt::format("{:016x}", session.id); }

std::vector<Column> columns() {
  return {
      {"SESSION", false, 12, [](const TopRow& r) { return id_of(r.session).substr(0, 8); }},
      {"PROGRAM", false, 0, [](const TopRow& r) { return name_of(r.session); }},
      {"PID", true, 0, [](const TopRow& r) { return r.session.pid ? std::to_string(r.session.pid) : "-"; }},
      {"USER", false, 5, [](const TopRow& r) { return r.user.empty() ? "-" : r.user; }},
      {"FROM", false, 13, [](const TopRow& r) { return place_of(r.session); }},
      {"VIA", false, 7, [](const TopRow& r) { return transport_of(r.session); }},
      {"AGE", true, 8, [](const TopRow& r) { return short_time(r.session.age_us); }},
      {"IDLE", true, 6, [](const TopRow& r) { return short_time(r.session.idle_us); }},
      {"GPUMEM", true, 1, [](const TopRow& r) { return short_bytes(static_cast<double>(r.session.memory)); }},
      {"POST/s", true, 3, [](const TopRow& r) { return short_count(r.posted); }},
      {"WAIT/s", true, 3, [](const TopRow& r) { return short_count(r.waited); }},
      {"LAUNCH/s", true, 2, [](const TopRow& r) { return short_count(r.launches); }},
      {"IN/s", true, 4, [](const TopRow& r) { return short_bytes(r.bytes_in); }},
      {"OUT/s", true, 4, [](const TopRow& r) { return short_bytes(r.bytes_out); }},
      {"WORKER", true, 11, [](const TopRow& r) { return std::to_string(r.session.worker_pid); }},
      {"CPU%", true, 9, [](const TopRow& r) { return fmt::format("{:.0f}", std::min(r.cpu_percent, 99999.0)); }},
  };
}

std::string cut(std::string line, size_t width) {
  if (width != 0 && line.size() > width) line.resize(width);
  return line;
}

std::string gibibytes(uint64_t bytes) { return fmt::format("{:.1f}", static_cast<double>(bytes) / (1 << 30)); }

std::string headline(const TopView& view) {
  std::string sessions =
      fmt::format("{} session{}", view.server.sessions_in_all, view.server.sessions_in_all == 1 ? "" : "s");
  if (view.server.max_sessions) sessions += fmt::format(" of {}", view.server.max_sessions);
  if (view.rows.size() < view.server.sessions_in_all) sessions += fmt::format(" ({} shown)", view.rows.size());
  return fmt::format("nearmetal {} at {}, up {}, {}", view.release, view.address, short_time(view.server.uptime_us),
                     sessions);
}

// The sessions, in as many columns as there is room for.
void add_table(const TopView& view, size_t width, std::vector<std::string>& lines) {
  struct Laid {
    Column column;
    std::vector<std::string> cells;
    size_t width;
  };
  std::vector<Laid> laid;
  for (Column& column : columns()) {
    Laid one{std::move(column), {}, 0};
    one.width = std::string_view(one.column.title).size();
    for (const TopRow& row : view.rows) {
      one.cells.push_back(one.column.cell(row));
      one.width = std::max(one.width, one.cells.back().size());
    }
    laid.push_back(std::move(one));
  }
  const auto all = [&laid] {
    size_t sum = laid.size() - 1;
    for (const Laid& one : laid) sum += one.width;
    return sum;
  };
  while (width != 0 && all() > width) {
    const auto least = std::max_element(laid.begin(), laid.end(),
                                        [](const Laid& a, const Laid& b) { return a.column.goes < b.column.goes; });
    if (least->column.goes == 0) break;
    laid.erase(least);
  }
  for (size_t row = 0; row <= view.rows.size(); row++) {
    std::string line;
    for (const Laid& one : laid) {
      const std::string& text = row == 0 ? one.column.title : one.cells[row - 1];
      if (!line.empty()) line += ' ';
      line += one.column.right ? fmt::format("{:>{}}", text, one.width) : fmt::format("{:<{}}", text, one.width);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    lines.push_back(cut(std::move(line), width));
  }
}

std::string uuid_text(const std::array<uint8_t, 16>& bytes) {
  std::string out = "GPU-";
  for (size_t i = 0; i < bytes.size(); i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += fmt::format("{:02x}", bytes[i]);
  }
  return out;
}

double seconds(uint64_t microseconds) { return static_cast<double>(microseconds) / 1e6; }

}  // namespace

std::vector<std::string> top_lines(const TopView& view, size_t width) {
  std::vector<std::string> lines = {cut(headline(view), width)};
  for (size_t i = 0; i < view.server.gpus.size(); i++) {
    const wire::GpuStatus& gpu = view.server.gpus[i];
    lines.push_back(cut(fmt::format("GPU {}  {}  {} of {} GiB held by sessions", i, gpu.name, gibibytes(gpu.held),
                                    gibibytes(gpu.memory)),
                        width));
  }
  lines.push_back("");
  add_table(view, width, lines);
  return lines;
}

std::string top_json(const TopView& view) {
  using Json = nlohmann::ordered_json;
  Json gpus = Json::array(), sessions = Json::array();
  for (size_t i = 0; i < view.server.gpus.size(); i++) {
    const wire::GpuStatus& gpu = view.server.gpus[i];
    gpus.push_back({{"index", i},
                    {"name", gpu.name},
                    {"uuid", uuid_text(gpu.uuid)},
                    {"memory_bytes", gpu.memory},
                    {"held_bytes", gpu.held}});
  }
  const auto known = [](bool is_known, auto value) { return is_known ? Json(value) : Json(nullptr); };
  for (const TopRow& row : view.rows) {
    const wire::SessionStatus& s = row.session;
    sessions.push_back({{"id", id_of(s)},
                        {"kind", s.nvml ? "nvml" : "cuda"},
                        {"program", s.program},
                        {"pid", known(s.pid != 0, s.pid)},
                        {"uid", known(s.local, s.uid)},
                        {"user", known(s.local, row.user)},
                        {"from", s.from},
                        {"transport", transport_of(s)},
                        {"age_seconds", seconds(s.age_us)},
                        {"idle_seconds", seconds(s.idle_us)},
                        {"gpu_memory_bytes", s.memory},
                        {"calls_posted", s.posted},
                        {"calls_waited", s.waited},
                        {"bytes_in", s.bytes_in},
                        {"bytes_out", s.bytes_out},
                        {"kernels", s.kernels},
                        {"graphs", s.graphs},
                        {"posted_per_second", row.posted},
                        {"waited_per_second", row.waited},
                        {"bytes_in_per_second", row.bytes_in},
                        {"bytes_out_per_second", row.bytes_out},
                        {"launches_per_second", row.launches},
                        {"worker_pid", s.worker_pid},
                        {"worker_cpu_percent", row.cpu_percent}});
  }
  const Json all = {{"server",
                     {{"address", view.address},
                      {"release", view.release},
                      {"uptime_seconds", seconds(view.server.uptime_us)},
                      {"sessions", view.server.sessions_in_all},
                      {"max_sessions", known(view.server.max_sessions != 0, view.server.max_sessions)},
                      {"gpus", gpus}}},
                    {"interval_seconds", view.seconds},
                    {"sessions", sessions}};
  return all.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace nm::cmd
