// Two answers of a server turned into what a person reads: rates, sorted by activity.
#pragma once

#include <string>
#include <vector>

#include "wire/status.h"

namespace nm::cmd {

struct TopRow {
  wire::SessionStatus session;
  std::string user;  // a name, a number, or empty: not known
  // In one second.
  double posted = 0, waited = 0, bytes_in = 0, bytes_out = 0, launches = 0;
  double cpu_percent = 0;  // of one processor
};

struct TopView {
  std::string address, release;
  double seconds = 0;  // between the two answers
  wire::ServerStatus server;
  std::vector<TopRow> rows;
};

// `before` may be of any age; a session that it lacks has done what it has done since it began.
// `local`: we are on the server's host, and its user numbers have names here.
TopView compare(const wire::ServerStatus& before, const wire::ServerStatus& now, bool local);

// "12", "3.4k", "1.2M": at most five characters for whatever a server may say.
std::string short_count(double number);
// The same with steps of 1024: "900", "1.5K", "2.0G".
std::string short_bytes(double bytes);
// "0.2s", "12s", "3m05s", "2h10m", "4d07h"
std::string short_time(uint64_t microseconds);

}  // namespace nm::cmd
