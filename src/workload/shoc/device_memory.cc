// DeviceMemory: rates of the device's memories. Global memory read and written with each warp's words side by side
// (gmem_readbw, gmem_writebw) and with 2 KiB between neighbours (…_strided); a block's shared memory (lmem_…); textures
// at places that jump about (tex_readbw). Bound by the memory named; strided reads by the cache lines that a
// multiprocessor can look up in a cycle, strided writes by the sectors that are written in parts. SHOC's 64 MB lie in
// the caches of a GPU of today for the most part: only `gpu` tells what its memory does.
//
// Sums are of whole words and exact; what is read tells its place (pattern.h), and written words are compared with what
// they must be, so a kernel that leaves some out is found.
#include <algorithm>
#include <cmath>

#include "workload/pattern.h"
#include "workload/shoc/programs.h"

namespace nm::workload::shoc {
namespace {

constexpr uint32_t kThreads = 256;
constexpr uint32_t kChunk = 512;  // kernels/device_memory.cl's CHUNK

class Memory {
 public:
  explicit Memory(Run& run)
      : run_(run),
        device_(run.device()),
        // SHOC: 64 MB. Four repeats at least, so that a sample is not over before it has begun.
        bytes_(run.pick<size_t>(1 << 20, 64 << 20, size_t{2} << 30)),
        repeats_(run.pick(1, 64, 8)),
        salt_(static_cast<uint32_t>(run.random()())) {}

  void global() {
    const device::Buffer data = device_.allocate(bytes_);
    const auto words = static_cast<uint32_t>(bytes_ / 4);
    device_.launch(device_.kernel("pattern", "u32", "fill_pattern"), {1024}, {kThreads}, data, words, salt_);
    uint32_t total = 0;  // of all words, once
    for (uint32_t i = 0; i < words; ++i) total += pattern_word(i, salt_);

    const uint32_t blocks = run_.pick<uint32_t>(32, 1024, 1024);
    const uint32_t vectors = words / 4;
    read("gmem_readbw", "read_coalesced", blocks * kThreads, kThreads, total, data, vectors, repeats_);
    // SHOC's number of threads. With many more, the lines that they write a word at a time would not all stay in the
    // cache until they are whole.
    const uint32_t chunks = words / kChunk, threads = std::min<uint32_t>(chunks, 32768);
    read("gmem_readbw_strided", "read_strided", threads, 128, total, data, chunks, repeats_);

    write("gmem_writebw", "write_coalesced", blocks * kThreads, kThreads, data, words, vectors, salt_, repeats_);
    write("gmem_writebw_strided", "write_strided", threads, 128, data, words, chunks, salt_, repeats_);
  }

  void local() {
    const uint32_t blocks = run_.pick<uint32_t>(4, 0, 0) + (run_.size() == Size::ci ? 0 : 8 * multiprocessors());
    const int turns = run_.pick(64, 2048, 8192), step = 40;
    const double gigabytes = 4.0 * 32 * turns * kThreads * blocks / 1e9;
    std::vector<uint32_t> words(2048);
    for (uint32_t& word : words) word = static_cast<uint32_t>(run_.random()());
    const device::Buffer in = device_.upload(words);
    const device::Buffer out = device_.allocate(size_t{blocks} * kThreads * 4);

    device_.fill(out, 0, 0xffffffff, out.bytes());
    const device::Kernel reader = device_.kernel("device_memory", "u32", "read_local");
    run_.sample({"lmem_readbw", "GB/s"}, rates(gigabytes, run_.device_seconds([&] {
                  device_.launch(reader, {blocks}, {kThreads}, in, out, turns, step);
                })));
    compare("lmem_readbw", out, blocks, [&](uint32_t t) {
      uint32_t sum[4] = {}, at = t;
      for (int turn = 0; turn < turns; ++turn) {
        for (uint32_t k = 0; k < 8; ++k) {
          for (uint32_t part = 0; part < 4; ++part) sum[part] += words[4 * (at + 32 * k) + part];
        }
        at = (at + step) & 255;
      }
      return sum[0] + 3 * sum[1] + 5 * sum[2] + 7 * sum[3];
    });

    device_.fill(out, 0, 0xffffffff, out.bytes());
    const device::Kernel writer = device_.kernel("device_memory", "u32", "write_local");
    run_.sample({"lmem_writebw", "GB/s"}, rates(gigabytes, run_.device_seconds([&] {
                  device_.launch(writer, {blocks}, {kThreads}, out, salt_, turns, step);
                })));
    compare("lmem_writebw", out, blocks, [&](uint32_t t) {
      const auto vector = [&](uint32_t at) { return at + 3 * salt_ + 5 * ~salt_ + 7 * (salt_ >> 3); };
      return vector(t) + 11 * vector(t + 224);
    });
  }

  // SHOC counts 16 bytes a texel and uses the first of its four values (tex_readbw); tex_readbw_all uses them all.
  void textures() {
    const int fetches = run_.pick(16, 1024, 1024);
    std::vector<double> best_one, best_all;
    for (const size_t kilobytes : {16, 64, 256, 1024, 4096}) {
      if (run_.size() == Size::ci && kilobytes > 64) break;
      // SHOC's shapes: as square as a power of two lets them be.
      const size_t texels = kilobytes * 1024 / 16;
      const int log = static_cast<int>(std::lround(std::log2(static_cast<double>(texels))));
      const int height = 1 << (log / 2), width = static_cast<int>(texels) / height;
      std::vector<float> values(4 * texels);
      for (float& value : values) value = static_cast<float>(run_.random()() & 0xff);  // sums stay whole and exact
      const auto texture = device_.texture(static_cast<size_t>(width), static_cast<size_t>(height), values);
      const device::Buffer out = device_.allocate(texels * 4);
      const device::Size3 blocks{static_cast<uint32_t>(width) / 16, static_cast<uint32_t>(height) / 8};
      // Small textures make small launches: enough of them for a sample of about a millisecond.
      const int launches = run_.pick(1, 32, 64);
      const double gigabytes = 16.0 * static_cast<double>(texels) * fetches * launches / 1e9;
      const auto measure = [&](const char* function, bool all, std::vector<double>& best) {
        const device::Kernel kernel = device_.kernel("texture", "f32", function);
        device_.fill(out, 0, 0xffffffff, out.bytes());
        const std::vector<double> speeds = rates(gigabytes, run_.device_seconds([&] {
          for (int i = 0; i < launches; ++i) {
            device_.launch(kernel, blocks, {16, 8}, *texture, out, fetches, width, height);
          }
        }));
        best.resize(speeds.size());
        for (size_t i = 0; i < speeds.size(); ++i) best[i] = std::max(best[i], speeds[i]);
        const std::vector<float> result = device_.download<float>(out, texels);
        size_t wrong = 0;
        for (size_t i = 0; i < texels; i += texels / 64) {
          int x = static_cast<int>(i) % width, y = static_cast<int>(i) / width;
          double sum = 0;
          for (int fetch = 0; fetch < fetches; ++fetch) {
            const float* texel = &values[4 * static_cast<size_t>(y * width + x)];
            sum += static_cast<double>(texel[0]);
            if (all)
              sum += static_cast<double>(texel[1]) + static_cast<double>(texel[2]) + static_cast<double>(texel[3]);
            x = (x * 3 + 29) & (width - 1);
            y = (y * 5 + 11) & (height - 1);
          }
          wrong += static_cast<double>(result[i]) != sum;
        }
        run_.check(std::string(function) + ", " + std::to_string(kilobytes) + " KiB: wrong sums",
                   static_cast<double>(wrong), 0);
      };
      measure("fetch_one", false, best_one);
      measure("fetch_all", true, best_all);
    }
    run_.sample({"tex_readbw", "GB/s"}, best_one);
    run_.sample(Figure{"tex_readbw_all", "GB/s"}.as_detail(), best_all);
  }

 private:
  uint32_t multiprocessors() const { return static_cast<uint32_t>(std::max(1, run_.info().multiprocessors)); }
  double gigabytes() const { return static_cast<double>(bytes_) * repeats_ / 1e9; }

  // `arguments`: the kernel's behind in and out.
  template <typename... A>
  void read(const std::string& metric, const char* function, uint32_t threads, uint32_t block, uint32_t total,
            const device::Buffer& in, const A&... arguments) {
    const device::Kernel kernel = device_.kernel("device_memory", "u32", function);
    const device::Buffer sums = device_.allocate(size_t{threads} * 4);
    device_.fill(sums, 0, 0xffffffff, sums.bytes());
    run_.sample({metric, "GB/s"}, rates(gigabytes(), run_.device_seconds([&] {
                  device_.launch(kernel, {threads / block}, {block}, in, sums, arguments...);
                })));
    uint32_t sum = 0;
    for (const uint32_t part : device_.download<uint32_t>(sums, threads)) sum += part;
    run_.check(metric + ": sum", sum == total * static_cast<uint32_t>(repeats_));
  }

  template <typename... A>
  void write(const std::string& metric, const char* function, uint32_t threads, uint32_t block,
             const device::Buffer& out, uint32_t words, const A&... arguments) {
    const device::Kernel kernel = device_.kernel("device_memory", "u32", function);
    device_.fill(out, 0, 0xffffffff, out.bytes());
    run_.sample({metric, "GB/s"}, rates(gigabytes(), run_.device_seconds([&] {
                  device_.launch(kernel, {threads / block}, {block}, out, arguments...);
                })));
    size_t wrong = 0;
    std::vector<uint32_t> piece(std::min<size_t>(words, 16 << 20));
    for (size_t at = 0; at < words; at += piece.size()) {
      device_.read(out, at * 4, piece.data(), piece.size() * 4);
      const uint32_t first = static_cast<uint32_t>(at) + salt_ + static_cast<uint32_t>(repeats_) - 1;
      for (size_t i = 0; i < piece.size(); ++i) wrong += piece[i] != first + static_cast<uint32_t>(i);
    }
    run_.check(metric + ": wrong words", static_cast<double>(wrong), 0);
  }

  // Every block leaves the same, `expected(thread)` a thread.
  template <typename F>
  void compare(const std::string& metric, const device::Buffer& out, uint32_t blocks, const F& expected) {
    const std::vector<uint32_t> result = device_.download<uint32_t>(out, size_t{blocks} * kThreads);
    size_t wrong = 0;
    for (uint32_t t = 0; t < kThreads; ++t) {
      const uint32_t right = expected(t);
      for (size_t i = t; i < result.size(); i += kThreads) wrong += result[i] != right;
    }
    run_.check(metric + ": wrong sums", static_cast<double>(wrong), 0);
  }

  Run& run_;
  device::Device& device_;
  size_t bytes_;
  int repeats_;
  uint32_t salt_;
};

}  // namespace

void device_memory(Run& run) {
  Memory memory(run);
  memory.global();
  memory.local();
  try {
    memory.textures();
  } catch (const device::Unsupported& why) {
    run.skip("tex_readbw", why.what());
  }
}

}  // namespace nm::workload::shoc
