// nearmetal top: a server's sessions and what they do, live.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "cmd/command_line.h"
#include "cmd/config.h"
#include "cmd/reach.h"
#include "cmd/top_query.h"
#include "cmd/top_screen.h"
#include "cmd/top_table.h"

namespace nm::cmd {
namespace {

constexpr Millis kTimeout{5'000};
// While somebody looks at the screen and may press q.
constexpr Millis kShortTimeout{1'000};

TopView view_of(const wire::Address& server, const wire::ServerStatus& before, const ServerAnswer& now) {
  TopView view = compare(before, now.status, server.kind == wire::Address::Kind::unix_socket);
  view.address = server.text();
  view.release = now.release;
  return view;
}

int show_once(const wire::Address& server, Millis delay, bool json) {
  const auto before = ask_status(server, kTimeout);
  if (!before) return fail(before.error().message);
  std::this_thread::sleep_for(delay);
  const auto now = ask_status(server, kTimeout);
  if (!now) return fail(now.error().message);
  const TopView view = view_of(server, before->status, *now);
  if (json) {
    fmt::print("{}\n", top_json(view));
    return 0;
  }
  for (const std::string& line : top_lines(view, 0)) fmt::print("{}\n", line);
  return 0;
}

int show_live(const wire::Address& server, Millis delay) {
  // A server that is not there is said where it can be read, before the screen is taken.
  auto before = ask_status(server, kTimeout);
  if (!before) return fail(before.error().message);
  TopScreen screen;
  TopView view = view_of(server, before->status, *before);
  std::string trouble;
  Millis pause = std::min(delay, Millis(500));  // the first rates soon
  for (;;) {
    const auto draw = [&] {
      std::vector<std::string> lines = top_lines(view, screen.width());
      if (!trouble.empty()) lines.insert(lines.begin() + 1, trouble.substr(0, screen.width()));
      screen.draw(lines);
    };
    draw();
    for (const TimePoint until = Clock::now() + pause;;) {
      const auto event = screen.wait(until);
      if (event == TopScreen::Event::end) return 0;
      if (event == TopScreen::Event::time_is_up) break;
      draw();
    }
    pause = delay;
    auto now = ask_status(server, kShortTimeout);
    trouble = now ? "" : now.error().message;
    if (!now) continue;
    view = view_of(server, before->status, *now);
    before = std::move(now);
  }
}

}  // namespace

int top_verb(const Args& args) {
  std::string server, output = "table";
  bool once = false;
  double delay = 1;
  CLI::App app("Shows a server's sessions and what they do, live. q ends it.", "nearmetal top");
  app.add_option("--server", server, "unix:PATH or tcp:HOST:PORT (else NEARMETAL_SERVER, else the configuration)")
      ->type_name("ADDRESS");
  app.add_option("--delay", delay, "seconds between two looks, which rates are over (default 1)")
      ->check(CLI::Range(0.1, 3600.0))
      ->type_name("SECONDS");
  app.add_flag("--once", once, "look once and end; so it is, too, where standard output is no terminal");
  app.add_option("-o,--output", output, "table (the default) or json, which is once")
      ->check(CLI::IsMember({"table", "json"}))
      ->type_name("FORMAT");
  app.footer("Example:\n  nearmetal top --server unix:/run/nearmetal/nearmetal.sock --once -o json");
  if (const auto status = parse(app, args)) return *status;

  const auto address = client_server(server);
  if (!address) return fail(address.error().message);
  if (address->tls) {
    if (const auto reached = reach_from_here(*address); !reached) return fail(reached.error().message);
  }
  const auto pause = Millis(static_cast<int64_t>(delay * 1000));
  if (once || output == "json" || !::isatty(STDOUT_FILENO)) return show_once(*address, pause, output == "json");
  return show_live(*address, pause);
}

}  // namespace nm::cmd
