// What plain sockets carry from one end of a way to the other, to hold copies against:
//
//   nm_sockets --listen tcp:127.0.0.1:PORT [--through ADDRESS] [--connections 4] [--rounds N] [--quick]
//
// Sends from one thread a connection to another one, from buffers of the sizes that nm_paths copies, and back.
// --through: connect there instead, to what forwards to --listen (nm_link). One line of JSON a size and direction, as
// nm_paths prints; and the round trip of one byte, between threads that sleep until it comes and between such that
// spin.
#include <string>
#include <thread>
#include <vector>

#include "pairs.h"

namespace {

using namespace nm::link;

void one(bool out, int fd, char* data, size_t size, int times) {
  for (int i = 0; i < times; i++) {
    if (!pass(out, fd, data, size)) {
      fprintf(stderr, "nm_sockets: a connection ended: %s\n", strerror(errno));
      exit(1);
    }
  }
}

// `times` buffers of `size` bytes, each cut evenly over the connections. GB/s.
double carry(std::vector<Pair>& pairs, std::vector<char>& from, std::vector<char>& to, size_t size, int times,
             bool forth) {
  const size_t share = size / pairs.size();
  std::vector<std::thread> threads;
  const auto start = Clock::now();
  for (size_t i = 0; i < pairs.size(); i++) {
    threads.emplace_back(one, true, (forth ? pairs[i].near : pairs[i].far).get(), from.data() + i * share, share,
                         times);
    threads.emplace_back(one, false, (forth ? pairs[i].far : pairs[i].near).get(), to.data() + i * share, share, times);
  }
  for (auto& t : threads) t.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return static_cast<double>(share * pairs.size()) * times / seconds / 1e9;
}

double round_trip_us(Pair& pair, int times, bool spins) {
  auto receive = [spins](int fd, char* byte) { return spins ? spin_for_byte(fd, byte) : pass(false, fd, byte, 1); };
  char byte = 0;
  std::thread echo([&] {
    char b;
    for (int i = 0; i < times; i++) receive(pair.far.get(), &b) && pass(true, pair.far.get(), &b, 1);
  });
  const auto start = Clock::now();
  for (int i = 0; i < times; i++) pass(true, pair.near.get(), &byte, 1) && receive(pair.near.get(), &byte);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  echo.join();
  return seconds / times * 1e6;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  std::vector<Pair> pairs = connect(options);
  constexpr size_t kLargest = 256 << 20;
  std::vector<char> from(kLargest, 1), to(kLargest, 2);
  const std::string of = "_" + std::to_string(options.connections);
  std::vector<double> samples;
  for (bool spins : {false, true}) {
    samples.clear();
    for (unsigned r = 0; r < options.rounds; r++)
      samples.push_back(round_trip_us(pairs[0], options.quick ? 100 : 1000, spins));
    report(spins ? "round_trip_spinning" : "round_trip", "us", samples);
  }
  struct {
    const char* name;
    size_t bytes;
    int times;
  } sizes[] = {{"1M", 1 << 20, 256}, {"16M", 16 << 20, 32}, {"256M", 256 << 20, 4}};
  for (auto& size : sizes) {
    for (bool forth : {true, false}) {
      samples.clear();
      const int times = options.quick ? 1 : size.times;
      for (unsigned r = 0; r < options.rounds; r++) samples.push_back(carry(pairs, from, to, size.bytes, times, forth));
      report(std::string(forth ? "forth_" : "back_") + size.name + of, "GB/s", samples);
    }
  }
}
