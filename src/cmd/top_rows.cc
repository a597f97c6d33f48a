#include "cmd/top_rows.h"

#include <fmt/format.h>
#include <pwd.h>

#include <algorithm>
#include <iterator>
#include <map>

namespace nm::cmd {
namespace {

std::string user_of(const wire::SessionStatus& session, bool local, std::map<uint64_t, std::string>& names) {
  if (!session.local) return "";
  if (!local) return std::to_string(session.uid);
  const auto [found, is_new] = names.emplace(session.uid, "");
  if (is_new) {
    const auto* entry = session.uid <= UINT32_MAX ? ::getpwuid(static_cast<uid_t>(session.uid)) : nullptr;
    found->second = entry ? wire::plain_text(entry->pw_name) : std::to_string(session.uid);
  }
  return found->second;
}

// A counter that went back is another session's, or a lie: nothing is known of what happened in between.
double rate(uint64_t before, uint64_t now, double seconds) {
  return now < before || seconds <= 0 ? 0 : static_cast<double>(now - before) / seconds;
}

std::string with_unit(double number, double step, const char* units) {
  int unit = 0;
  while (number >= step - 0.5 && units[unit + 1]) {
    number /= step;
    unit++;
  }
  if (number >= 9999) return fmt::format(">9k{}", units[unit]);
  if (unit == 0) return fmt::format("{:.{}f}", number, number > 0 && number < 9.95 ? 1 : 0);
  return fmt::format("{:.{}f}{}", number, number < 9.95 ? 1 : 0, units[unit]);
}

}  // namespace

TopView compare(const wire::ServerStatus& before, const wire::ServerStatus& now, bool local) {
  TopView view;
  view.server = now;
  view.seconds = rate(before.clock_us, now.clock_us, 1e6);
  std::map<uint64_t, const wire::SessionStatus*> earlier;
  for (const auto& session : before.sessions) earlier[session.id] = &session;
  std::map<uint64_t, std::string> names;
  const wire::SessionStatus nothing;
  for (const auto& session : now.sessions) {
    TopRow& row = view.rows.emplace_back();
    row.session = session;
    row.user = user_of(session, local, names);
    const auto found = earlier.find(session.id);
    const wire::SessionStatus& then = found == earlier.end() ? nothing : *found->second;
    const double age = static_cast<double>(session.age_us) / 1e6;
    const double seconds = found == earlier.end() ? age : view.seconds;
    row.posted = rate(then.posted, session.posted, seconds);
    row.waited = rate(then.waited, session.waited, seconds);
    row.bytes_in = rate(then.bytes_in, session.bytes_in, seconds);
    row.bytes_out = rate(then.bytes_out, session.bytes_out, seconds);
    row.launches = rate(then.kernels, session.kernels, seconds) + rate(then.graphs, session.graphs, seconds);
    // A worker may have been warm for long before it got this session.
    if (found != earlier.end()) row.cpu_percent = rate(then.worker_cpu_us, session.worker_cpu_us, seconds) / 1e4;
  }
  std::stable_sort(view.rows.begin(), view.rows.end(), [](const TopRow& a, const TopRow& b) {
    const double ours = a.posted + a.waited, theirs = b.posted + b.waited;
    if (ours != theirs) return ours > theirs;
    if (a.session.idle_us != b.session.idle_us) return a.session.idle_us < b.session.idle_us;
    return a.session.id < b.session.id;
  });
  return view;
}

std::string short_count(double number) { return with_unit(number, 1000, " kMGTPE"); }

std::string short_bytes(double bytes) { return with_unit(bytes, 1024, " KMGTPE"); }

std::string short_time(uint64_t microseconds) {
  const uint64_t seconds = microseconds / 1'000'000;
  if (seconds < 10) return fmt::format("{:.1f}s", static_cast<double>(microseconds / 100'000) / 10);
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3600) return fmt::format("{}m{:02}s", seconds / 60, seconds % 60);
  if (seconds < 86400) return fmt::format("{}h{:02}m", seconds / 3600, seconds / 60 % 60);
  if (seconds < 1000 * 86400) return fmt::format("{}d{:02}h", seconds / 86400, seconds / 3600 % 24);
  return fmt::format("{}d", std::min<uint64_t>(seconds / 86400, 99999));
}

}  // namespace nm::cmd
