// Ordinary programs as two compilers make them (ptx/wide.cu), against the same on the processor.
#include "driver_test.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <random>
#include <sstream>
#include <utility>

namespace {

class Programs : public DriverTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    std::ifstream file(std::string(NM_PTX_DIR "/") + GetParam());
    std::ostringstream text;
    text << file.rdbuf();
    ASSERT_FALSE(text.str().empty()) << GetParam();
    OK(cuModuleLoadData(&module_, text.str().c_str()));
  }
  template <class T>
  CUdeviceptr put(const std::vector<T>& values) {
    CUdeviceptr p = 0;
    EXPECT_EQ(CUDA_SUCCESS, cuMemAlloc_v2(&p, values.size() * sizeof(T)));
    EXPECT_EQ(CUDA_SUCCESS, cuMemcpyHtoD_v2(p, values.data(), values.size() * sizeof(T)));
    return p;
  }
  template <class T>
  CUdeviceptr zeros(size_t n) {
    return put(std::vector<T>(n));
  }
  struct Shape {
    unsigned gx, gy, bx, by;
  };
  template <class... Args>
  void run(const char* name, Shape s, Args... args) {
    CUfunction f = nullptr;
    ASSERT_EQ(CUDA_SUCCESS, cuModuleGetFunction(&f, module_, name)) << name;
    void* params[] = {&args...};
    ASSERT_EQ(CUDA_SUCCESS, cuLaunchKernel(f, s.gx, s.gy, 1, s.bx, s.by, 1, 0, nullptr, params, nullptr)) << name;
    ASSERT_EQ(CUDA_SUCCESS, cuCtxSynchronize()) << name;
  }
  template <class T>
  std::vector<T> random(size_t n, double low, double high) {
    std::vector<T> values(n);
    std::uniform_real_distribution<double> numbers(low, high);
    for (auto& v : values) v = static_cast<T>(numbers(engine_));
    return values;
  }
  template <class T>
  void expect_close(const std::vector<T>& want, CUdeviceptr got_at, double tolerance) {
    const auto got = read<T>(got_at, want.size());
    for (size_t i = 0; i < want.size(); ++i) {
      ASSERT_NEAR(want[i], got[i], tolerance * std::max(1.0, std::abs(static_cast<double>(want[i])))) << i;
    }
  }
  template <class T>
  void expect_equal(const std::vector<T>& want, CUdeviceptr got_at) {
    EXPECT_EQ(want, read<T>(got_at, want.size()));
  }

  CUmodule module_ = nullptr;
  std::mt19937 engine_{7};
};

TEST_P(Programs, SumsAndScans) {
  const auto values = random<float>(20000, 0, 1);
  const CUdeviceptr sum = zeros<float>(1);
  run("reduce", {10, 1, 256, 1}, put(values), sum, 20000);
  double want = 0;
  for (const float v : values) want += v;
  EXPECT_NEAR(want, read<float>(sum, 1)[0], 1e-4 * want);

  const auto counts = random<int>(256, 0, 100);
  std::vector<int> running(256);
  std::partial_sum(counts.begin(), counts.end(), running.begin());
  const CUdeviceptr out = zeros<int>(256);
  run("scan", {1, 1, 256, 1}, put(counts), out);
  expect_equal(running, out);
}

TEST_P(Programs, Matrices) {
  const int width = 50, height = 23;
  const auto a = random<double>(width * height, -1, 1);
  std::vector<double> turned(a.size());
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) turned[static_cast<size_t>(x * height + y)] = a[static_cast<size_t>(y * width + x)];
  }
  const CUdeviceptr t = zeros<double>(a.size());
  run("transpose", {4, 2, 16, 16}, put(a), t, width, height);
  expect_equal(turned, t);

  const int n = 48;
  auto multiply = [&](auto zero, const char* name, double tolerance) {
    using T = decltype(zero);
    const auto left = random<T>(n * n, -1, 1), right = random<T>(n * n, -1, 1);
    std::vector<T> want(n * n);
    for (int y = 0; y < n; ++y) {
      for (int x = 0; x < n; ++x) {
        double sum = 0;
        for (int k = 0; k < n; ++k)
          sum += double{left[static_cast<size_t>(y * n + k)]} * double{right[static_cast<size_t>(k * n + x)]};
        want[static_cast<size_t>(y * n + x)] = static_cast<T>(sum);
      }
    }
    const CUdeviceptr c = zeros<T>(n * n);
    run(name, {3, 3, 16, 16}, put(left), put(right), c, n);
    expect_close(want, c, tolerance);
  };
  multiply(0.f, "product_f32", 1e-5);
  multiply(0.0, "product_f64", 1e-13);

  // 2 x + y: pairs of (1, 2) and (0.5, 4) in f16.
  const CUdeviceptr y = put(std::vector<uint32_t>(70, 0x44003800));
  run("axpy_halves", {2, 1, 64, 1}, put(std::vector<uint32_t>(70, 0x40003c00)), y, 0x40004000u, 69);
  std::vector<uint32_t> sums(70, 0x48004100);  // (2.5, 8)
  sums[69] = 0x44003800;
  expect_equal(sums, y);
}

TEST_P(Programs, Physics) {
  const int n = 128;
  const auto bodies = random<float>(4 * n, -1, 1);
  std::vector<float> want(4 * n);
  for (size_t i = 0; i < n; ++i) {
    double sum[3] = {};
    for (size_t j = 0; j < n; ++j) {
      double d[3], r2 = 0.01;
      for (size_t k = 0; k < 3; ++k) d[k] = double{bodies[4 * j + k]} - bodies[4 * i + k], r2 += d[k] * d[k];
      for (size_t k = 0; k < 3; ++k) sum[k] += d[k] * bodies[4 * j + 3] / (r2 * std::sqrt(r2));
    }
    for (size_t k = 0; k < 3; ++k) want[4 * i + k] = static_cast<float>(sum[k]);
    want[4 * i + 3] = bodies[4 * i + 3];
  }
  const CUdeviceptr out = zeros<float>(4 * n);
  run("attraction", {2, 1, 64, 1}, put(bodies), out, n);
  expect_close(want, out, 1e-4);

  const float box = 6;
  const auto p = random<float>(3 * n, 0, box);
  std::vector<float> force(3 * n);
  double energy = 0;
  for (size_t i = 0; i < n; ++i) {
    double sum[3] = {};
    for (size_t j = 0; j < n; ++j) {
      if (i == j) continue;
      float d[3], r2 = 0;
      for (size_t k = 0; k < 3; ++k) {
        d[k] = p[3 * i + k] - p[3 * j + k];
        d[k] -= box * std::trunc(d[k] / box + (d[k] < 0 ? -0.5f : 0.5f));
        r2 += d[k] * d[k];
      }
      if (r2 > 6.25f) continue;
      const double i2 = 1.0 / r2, i6 = i2 * i2 * i2;
      for (size_t k = 0; k < 3; ++k) sum[k] += 24 * i6 * (2 * i6 - 1) * i2 * d[k];
      energy += 2 * i6 * (i6 - 1);
    }
    for (size_t k = 0; k < 3; ++k) force[3 * i + k] = static_cast<float>(sum[k]);
  }
  const CUdeviceptr f = zeros<float>(3 * n), e = zeros<float>(1);
  run("lennard_jones", {2, 1, 96, 1}, put(p), f, e, n, box);
  expect_close(force, f, 1e-3);
  EXPECT_NEAR(energy, read<float>(e, 1)[0], 1e-3 * std::abs(energy));
}

TEST_P(Programs, FourierTransform) {
  const auto points = random<float>(512, -1, 1);
  std::vector<float> want(512);
  for (size_t k = 0; k < 256; ++k) {
    double re = 0, im = 0;
    for (size_t j = 0; j < 256; ++j) {
      const double angle = -2 * M_PI * static_cast<double>(k * j % 256) / 256;
      re += points[2 * j] * std::cos(angle) - points[2 * j + 1] * std::sin(angle);
      im += points[2 * j] * std::sin(angle) + points[2 * j + 1] * std::cos(angle);
    }
    want[2 * k] = static_cast<float>(re);
    want[2 * k + 1] = static_cast<float>(im);
  }
  const CUdeviceptr data = put(points);
  run("fourier", {1, 1, 128, 1}, data);
  expect_close(want, data, 1e-4);
}

TEST_P(Programs, SortingAndCounting) {
  std::vector<uint32_t> keys(960);
  for (auto& key : keys) key = static_cast<uint32_t>(engine_());
  CUdeviceptr from = put(keys), to = zeros<uint32_t>(keys.size());
  for (int shift = 0; shift < 32; shift += 4) {
    run("sort_pass", {1, 1, 32, 1}, from, to, static_cast<int>(keys.size()), shift);
    std::swap(from, to);
  }
  std::sort(keys.begin(), keys.end());
  expect_equal(keys, from);

  const auto bytes = random<uint8_t>(10000, 0, 255.9);
  std::vector<uint32_t> counts(256);
  for (const uint8_t b : bytes) ++counts[b];
  const CUdeviceptr out = zeros<uint32_t>(256);
  run("histogram", {4, 1, 128, 1}, put(bytes), out, 10000);
  expect_equal(counts, out);
}

TEST_P(Programs, GraphsAndSparseMatrices) {
  const size_t n = 300;
  std::vector<int> row = {0}, column;
  std::vector<float> value;
  for (size_t i = 0; i < n; ++i) {
    const size_t edges = engine_() % 50;
    for (size_t e = 0; e < edges; ++e) {
      column.push_back(static_cast<int>(engine_() % n));
      value.push_back(static_cast<float>(e) * 0.25f);
    }
    row.push_back(static_cast<int>(column.size()));
  }
  std::vector<uint32_t> level(n, ~0u);
  level[0] = 0;
  const CUdeviceptr r = put(row), c = put(column), levels = put(level);
  std::vector<size_t> queue = {0};
  for (size_t at = 0; at < queue.size(); ++at) {
    for (int e = row[queue[at]]; e < row[queue[at] + 1]; ++e) {
      const auto next = static_cast<size_t>(column[static_cast<size_t>(e)]);
      if (level[next] != ~0u) continue;
      level[next] = level[queue[at]] + 1;
      queue.push_back(next);
    }
  }
  for (uint32_t depth = 0; depth < 12; ++depth)
    run("breadth_first", {3, 1, 128, 1}, r, c, levels, static_cast<int>(n), depth);
  expect_equal(level, levels);

  const auto x = random<float>(n, -1, 1);
  std::vector<float> y(n);
  for (size_t i = 0; i < n; ++i) {
    double sum = 0;
    for (int e = row[i]; e < row[i + 1]; ++e)
      sum += double{value[static_cast<size_t>(e)]} * x[static_cast<size_t>(column[static_cast<size_t>(e)])];
    y[i] = static_cast<float>(sum);
  }
  const CUdeviceptr out = zeros<float>(n);
  run("sparse_product", {75, 1, 128, 1}, r, c, put(value), put(x), out, static_cast<int>(n));
  expect_close(y, out, 1e-4);
}

TEST_P(Programs, StructsCallsAndBranches) {
  struct Record {
    char name[29];
    short tag;
    double weight[3];
  } record = {"hello", 7, {1, 2, 3}};
  const CUdeviceptr records = zeros<Record>(40);
  run("by_value", {1, 1, 40, 1}, record, records, 3);
  const Record last = read<Record>(records, 40)[39];
  EXPECT_STREQ("helZo", last.name);
  EXPECT_EQ(7, last.tag);
  EXPECT_EQ(41, last.weight[1]);
  EXPECT_EQ(3, last.weight[2]);

  auto fibonacci = [](int n) {
    int a = 0, b = 1;
    while (n-- > 0) b = std::exchange(a, b) + b;
    return a;
  };
  std::vector<int> want;
  for (int i = 0; i < 64; ++i) {
    const int by_pointer = i % 3 == 0 ? i + 3 : i % 3 == 1 ? i * 3 : i * i * i;
    want.push_back(by_pointer + 1000000 * fibonacci(i % 11));
  }
  const CUdeviceptr out = zeros<int>(64);
  run("calls", {1, 1, 64, 1}, out);
  expect_equal(want, out);

  const auto cases = random<int>(64, 0, 8.9);
  want.clear();
  for (int i = 0; i < 64; ++i) {
    const int v = cases[static_cast<size_t>(i)];
    const int results[] = {5, i * 7, 2 << i % 8, fibonacci(i % 7), 1000 / (i + 1), i % 3 == 0 ? -1 : 1, 6 ^ i, 99, 99};
    want.push_back(results[v]);
  }
  run("branches", {1, 1, 64, 1}, put(cases), out);
  expect_equal(want, out);

  const auto start = random<int>(32, 0, 1000);
  want.clear();
  for (int i = 0; i < 64; ++i) {
    int a[32];
    for (int k = 0; k < 32; ++k) a[k] = start[static_cast<size_t>(k)] * i;
    for (int k = 0; k < 50; ++k) {
      const int j = (k * 7 + i) % 32, before = a[k % 32];
      a[k % 32] = a[j];
      a[j] = before + 1;
    }
    uint32_t sum = 0;
    for (const int v : a) sum = sum * 31 + static_cast<uint32_t>(v);
    want.push_back(static_cast<int>(sum));
  }
  run("shuffled_array", {1, 1, 64, 1}, put(start), out, 50);
  expect_equal(want, out);
}

TEST_P(Programs, TilesOfAWarp) {
  std::vector<uint32_t> want;
  for (uint32_t i = 0; i < 32; ++i) {
    const uint32_t first = i & 24;
    uint32_t sum = 0, votes = 0;
    for (uint32_t k = first; k < first + 8; ++k) sum += k, votes |= (k % 3 == 0 ? 1u : 0u) << k;
    want.insert(want.end(), {sum, votes, i ^ 5, i % 2 == 0 ? 16u : 32u});
  }
  const CUdeviceptr out = zeros<uint32_t>(128);
  run("tiles", {1, 1, 32, 1}, out);
  expect_equal(want, out);
}

TEST_P(Programs, ArithmeticOnWholeNumbers) {
  std::vector<int64_t> in(33), want;
  for (auto& v : in) v = static_cast<int64_t>(uint64_t{engine_()} << 32 | engine_());
  for (size_t i = 0; i < 32; ++i) {
    const int64_t a = in[i], b = in[i + 1] | 1;
    const int low = static_cast<int>(a), other = static_cast<int>(b);
    int dot = 7;
    for (int k = 0; k < 4; ++k) dot += static_cast<int8_t>(low >> 8 * k) * static_cast<int8_t>(other >> 8 * k);
    const double byte = std::clamp(std::nearbyint(double{static_cast<float>(a) * 1e-17f}), -128.0, 127.0);
    const int64_t high = static_cast<int64_t>(static_cast<__int128>(a) * b >> 64);
    want.insert(want.end(), {a / b, a % b, static_cast<int64_t>(static_cast<uint64_t>(a) / static_cast<uint64_t>(b)),
                             low / other, high, dot, static_cast<int64_t>(byte), static_cast<int64_t>(low * 0.5)});
  }
  const CUdeviceptr out = zeros<int64_t>(256);
  run("arithmetic", {1, 1, 32, 1}, put(in), out);
  expect_equal(want, out);

  const CUdeviceptr counter = zeros<uint16_t>(2);
  run("small_counter", {4, 1, 64, 1}, counter + 2);
  EXPECT_EQ(768, read<uint16_t>(counter, 2)[1]);
  EXPECT_EQ(0, read<uint16_t>(counter, 2)[0]);
}

INSTANTIATE_TEST_SUITE_P(Compilers, Programs, ::testing::Values("wide_sm80.ptx", "wide_sm90.ptx"),
                         [](const auto& info) { return std::string(info.param).substr(5, 4); });

}  // namespace
