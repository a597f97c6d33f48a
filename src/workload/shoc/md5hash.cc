// MD5Hash: finds the key that has a given MD5 digest by trying all keys of a space; each pass looks for another one.
// Bound by the rate of integer operations, without a byte of memory traffic.
#include <array>

#include "workload/shoc/md5.h"
#include "workload/shoc/programs.h"

namespace nm::workload::shoc {
namespace {

constexpr uint32_t kThreads = 256;

struct Key {
  int32_t prefix, first;  // as in kernels/md5hash.cl
};

std::array<uint32_t, 4> digest_of(Key key, int length, int values) {
  std::array<uint8_t, 8> bytes{static_cast<uint8_t>(key.first)};
  for (size_t i = 1; i < static_cast<size_t>(length); ++i) {
    bytes[i] = static_cast<uint8_t>(key.prefix % values);
    key.prefix /= values;
  }
  return md5({bytes.data(), static_cast<size_t>(length)});
}

}  // namespace

void md5hash(Run& run) {
  device::Device& device = run.device();
  // SHOC's largest space has 5 bytes of 73 values; that of size gpu has all printable characters.
  const int length = run.pick(6, 5, 5), values = run.pick(10, 73, 95);
  int32_t prefixes = 1;
  for (int i = 1; i < length; ++i) prefixes *= values;

  // The first pass looks for the first key of all, the second for the last.
  const auto passes = static_cast<size_t>(run.passes()) + 1;
  std::vector<Key> keys;
  for (size_t pass = 0; pass < passes; ++pass) {
    const auto any = [&](int32_t n) { return static_cast<int32_t>(run.random()() % static_cast<uint64_t>(n)); };
    keys.push_back(pass == 0 ? Key{0, 0} : pass == 1 ? Key{prefixes - 1, values - 1} : Key{any(prefixes), any(values)});
  }
  constexpr size_t kFound = 8 * sizeof(int32_t);
  const device::Buffer found = device.allocate(kFound);
  const device::Buffer all_found = device.allocate(passes * kFound);
  const device::Kernel kernel = device.kernel("md5hash", "sp", "md5_search");
  size_t pass = 0;
  const auto seconds = run.device_seconds([&] {
    const std::array<uint32_t, 4> d = digest_of(keys[pass], length, values);
    device.fill(found, 0, 0, kFound);
    device.launch(kernel, {(static_cast<uint32_t>(prefixes) + kThreads - 1) / kThreads}, {kThreads}, d[0], d[1], d[2],
                  d[3], prefixes, length, values, found);
    device.copy(all_found, pass * kFound, found, 0, kFound);
    ++pass;
  });
  run.sample({"md5hash", "GHash/s"}, rates(static_cast<double>(prefixes) * values / 1e9, seconds));

  const std::vector<int32_t> results = device.download<int32_t>(all_found, passes * 8);
  bool all_right = true;
  for (size_t i = 0; i < passes; ++i) {
    const int32_t* const result = results.data() + i * 8;
    const std::array<uint32_t, 4> d = digest_of(keys[i], length, values);
    bool right = result[0] == 1 && result[1] == keys[i].prefix && result[2] == keys[i].first;
    for (size_t word = 0; word < 4; ++word) right = right && static_cast<uint32_t>(result[3 + word]) == d[word];
    all_right = all_right && right;
  }
  run.check("every pass found its key, and no other", all_right);
}

}  // namespace nm::workload::shoc
