// What tests and measurements do with a store from a process of its own:
//   count URL KEY N        adds 1 to a number N times, by compare and swap
//   stamp URL PREFIX       puts PREFIX0, PREFIX1 and so on, and prints each number once its put is acknowledged
//   fill URL BYTES         puts until it is refused, no file longer than BYTES; prints how many were acknowledged and
//   why no more time URL N [BYTES]     puts N times, one after the other; prints how long each took, in microseconds
#include <fmt/format.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <string_view>

#include "base/number.h"
#include "store/open.h"

namespace nm::store {
namespace {

TimePoint soon() { return Clock::now() + Millis(60'000); }

int fail(const std::string& message) {
  fmt::print(stderr, "nm_store_tool: {}\n", message);
  return 1;
}

int count(Store& store, const std::string& key, int times) {
  auto page = store.get(Query::one(key), soon());
  if (!page) return fail(page.error().message);
  for (int done = 0; done < times;) {
    const bool there = !page->entries.empty();
    const int value = there ? number_or(page->entries[0].value, 0) : 0;
    auto decision = store.commit({{modified_at(key, there ? page->entries[0].modified : 0)},
                                  {put(key, std::to_string(value + 1))},
                                  {Query::one(key)}},
                                 soon());
    if (!decision) return fail(decision.error().message);
    if (!decision->done) {
      page = std::move(decision->found.at(0));
      continue;
    }
    ++done;
    page = Page{{{key, std::to_string(value + 1), 0, decision->revision, 0}}, decision->revision, ""};
  }
  return 0;
}

int stamp(Store& store, const std::string& prefix) {
  for (int64_t i = 0;; ++i) {
    const auto done = store.commit({{}, {put(prefix + std::to_string(i), "x")}, {}}, soon());
    if (!done) return fail(done.error().message);
    fmt::print("{}\n", i);
    std::fflush(stdout);
  }
}

int fill(Store& store, rlim_t bytes) {
  std::signal(SIGXFSZ, SIG_IGN);
  const auto begun = store.commit({{}, {put("fill/begin", "")}, {}}, soon());
  if (!begun) return fail(begun.error().message);
  const rlimit limit{bytes, bytes};
  if (bytes && setrlimit(RLIMIT_FSIZE, &limit) != 0) return fail("the limit cannot be set");
  const std::string value(4096, 'v');
  for (int64_t i = 0; i < 1'000'000; ++i) {
    const auto done = store.commit({{}, {put("fill/" + std::to_string(i), value)}, {}}, soon());
    if (done) continue;
    fmt::print("{} {}\n{}\n", i, done.trouble() == Trouble::full ? "full" : "otherwise", done.error().message);
    return 0;
  }
  return fail("it was never refused");
}

int time_puts(Store& store, int times, size_t bytes) {
  const std::string value(bytes, 'v');
  for (int i = 0; i < times; ++i) {
    const TimePoint begin = Clock::now();
    const auto done = store.commit({{}, {put("time/" + std::to_string(i % 100), value)}, {}}, soon());
    if (!done) return fail(done.error().message);
    fmt::print("{}\n", std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin).count());
  }
  return 0;
}

int run(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  const bool enough = (what == "count" && argc == 5) || (what == "stamp" && argc == 4) ||
                      (what == "fill" && argc == 4) || (what == "time" && (argc == 4 || argc == 5));
  if (!enough) return fail("count URL KEY N | stamp URL PREFIX | fill URL BYTES | time URL N [BYTES]");
  auto store = open_store(argv[2]);
  if (!store) return fail(store.error().message);
  if (what == "count") return count(**store, argv[3], number_or(argv[4], 0));
  if (what == "stamp") return stamp(**store, argv[3]);
  if (what == "fill") return fill(**store, number_or<rlim_t>(argv[3], 0));
  return time_puts(**store, number_or(argv[3], 0), argc == 5 ? number_or<size_t>(argv[4], 0) : 100);
}

}  // namespace
}  // namespace nm::store

int main(int argc, char** argv) { return nm::store::run(argc, argv); }
