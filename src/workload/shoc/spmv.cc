// SpMV: a sparse matrix, one number in a hundred not zero, times a vector. CSR with a thread a row and with a warp a
// row, both also with rows padded to multiples of 16 numbers, and ELLPACK-R. Bound by memory, and by how well its
// accesses lie side by side, which is what SHOC compares the storages by. Two operations a stored number; as in SHOC,
// padding counts as stored.
#include <algorithm>
#include <cmath>
#include <limits>

#include "workload/shoc/programs.h"

namespace nm::workload::shoc {
namespace {

constexpr uint32_t kThreads = 128;
constexpr int kPad = 16;

// CSR, with values that float and double hold alike.
struct Matrix {
  int rows = 0, longest = 0;
  std::vector<int> begins, columns;
  std::vector<float> values;
};

Matrix random_matrix(std::mt19937_64& random, int rows) {
  Matrix m;
  m.rows = rows;
  m.begins.push_back(0);
  m.columns.reserve(static_cast<size_t>(rows) * rows / 95);
  // From one number that is not zero to the next: geometric, so that each place has its chance of 1 in 100.
  const double scale = 1 / std::log1p(-0.01);
  for (int row = 0; row < rows; ++row) {
    double column = -1;
    for (;;) {
      const double u = static_cast<double>((random() >> 11) + 1) / 9007199254740992.0;
      column += 1 + std::floor(std::log(u) * scale);
      if (column >= rows) break;
      m.columns.push_back(static_cast<int>(column));
    }
    m.begins.push_back(static_cast<int>(m.columns.size()));
    m.longest = std::max(m.longest, m.begins[row + 1] - m.begins[row]);
  }
  m.values.resize(m.columns.size());
  for (float& value : m.values) value = static_cast<float>(random() >> 44) / (1 << 17);  // below 8, as SHOC's below 10
  return m;
}

// Rows of multiples of 16 numbers, the added ones zero, and a row of 16 to end with: every row is aligned.
Matrix padded(const Matrix& m) {
  Matrix p;
  p.rows = m.rows, p.longest = (m.longest + kPad - 1) / kPad * kPad;
  p.begins.push_back(0);
  for (int row = 0; row < m.rows; ++row) {
    const int length = m.begins[row + 1] - m.begins[row];
    p.begins.push_back(p.begins[row] + (length + kPad - 1) / kPad * kPad);
  }
  p.columns.assign(p.begins.back(), 0);
  p.values.assign(p.begins.back(), 0);
  for (int row = 0; row < m.rows; ++row) {
    std::copy(&m.columns[m.begins[row]], &m.columns[m.begins[row]] + (m.begins[row + 1] - m.begins[row]),
              &p.columns[p.begins[row]]);
    std::copy(&m.values[m.begins[row]], &m.values[m.begins[row]] + (m.begins[row + 1] - m.begins[row]),
              &p.values[p.begins[row]]);
  }
  return p;
}

// What goes over the bus for one storage; `rows` are CSR's begins or ELLPACK-R's lengths.
struct Stored {
  device::PinnedMemory host_values, host_columns, host_rows;
  device::Buffer values, columns, rows;
};

template <typename T>
class Spmv {
 public:
  Spmv(Run& run, const char* variant, const std::string& suffix, const std::vector<float>& x,
       const std::vector<double>& reference)
      : run_(run), device_(run.device()), variant_(variant), suffix_(suffix), reference_(reference) {
    rows_ = static_cast<int>(x.size());
    host_x_ = device_.allocate_pinned(x.size() * sizeof(T));
    host_y_ = device_.allocate_pinned(x.size() * sizeof(T));
    std::copy(x.begin(), x.end(), host_x_.template as<T>().begin());
    x_ = device_.allocate(host_x_.bytes()), y_ = device_.allocate(host_y_.bytes());
    device_.write(x_, 0, host_x_.data(), host_x_.bytes());
  }

  void csr(const Matrix& m, const std::string& pad) {
    const size_t stored = m.columns.size();
    const Stored s = store(stored, m.begins.size());
    std::copy(m.values.begin(), m.values.end(), s.host_values.template as<T>().begin());
    std::copy(m.columns.begin(), m.columns.end(), s.host_columns.template as<int>().begin());
    std::copy(m.begins.begin(), m.begins.end(), s.host_rows.template as<int>().begin());
    const device::Kernel scalar = device_.kernel("spmv", variant_, "spmv_csr_scalar");
    const device::Kernel vector = device_.kernel("spmv", variant_, "spmv_csr_vector");
    measure("spmv_csr_scalar" + pad + suffix_, s, stored, m.longest,
            [&] { device_.launch(scalar, {blocks(1)}, {kThreads}, s.values, s.columns, s.rows, x_, y_, rows_); });
    measure("spmv_csr_vector" + pad + suffix_, s, stored, m.longest,
            [&] { device_.launch(vector, {blocks(32)}, {kThreads}, s.values, s.columns, s.rows, x_, y_, rows_); });
  }

  void ellpackr(const Matrix& m) {
    const int stride = (m.rows + kPad - 1) / kPad * kPad;
    const Stored s = store(static_cast<size_t>(stride) * m.longest, m.rows);
    const auto values = s.host_values.template as<T>();
    const auto columns = s.host_columns.template as<int>();
    const auto lengths = s.host_rows.template as<int>();
    std::fill(values.begin(), values.end(), T{0});
    std::fill(columns.begin(), columns.end(), 0);
    // 64 rows at a time, so that what is written together lies together.
    for (int first = 0; first < m.rows; first += 64) {
      const int last = std::min(first + 64, m.rows);
      for (int row = first; row < last; ++row) lengths[row] = m.begins[row + 1] - m.begins[row];
      for (int i = 0; i < m.longest; ++i) {
        for (int row = first; row < last; ++row) {
          if (i >= lengths[row]) continue;
          values[static_cast<size_t>(i) * stride + row] = m.values[m.begins[row] + i];
          columns[static_cast<size_t>(i) * stride + row] = m.columns[m.begins[row] + i];
        }
      }
    }
    const device::Kernel kernel = device_.kernel("spmv", variant_, "spmv_ellpackr");
    measure("spmv_ellpackr" + suffix_, s, m.columns.size(), m.longest, [&] {
      device_.launch(kernel, {blocks(1)}, {kThreads}, s.values, s.columns, s.rows, x_, y_, rows_, stride);
    });
  }

 private:
  uint32_t blocks(int threads_a_row) const {
    return (static_cast<uint32_t>(rows_) * threads_a_row + kThreads - 1) / kThreads;
  }

  Stored store(size_t count, size_t rows) {
    Stored s;
    s.host_values = device_.allocate_pinned(count * sizeof(T)), s.values = device_.allocate(count * sizeof(T));
    s.host_columns = device_.allocate_pinned(count * 4), s.columns = device_.allocate(count * 4);
    s.host_rows = device_.allocate_pinned(rows * 4), s.rows = device_.allocate(rows * 4);
    return s;
  }

  template <typename Launch>
  void measure(const std::string& metric, const Stored& s, size_t stored, int longest, const Launch& launch) {
    const double operations = 2.0 * static_cast<double>(stored) / 1e9;
    const int repeats = run_.pick(1, 20, 5);
    const auto transfer = [&] {
      device_.write(s.values, 0, s.host_values.data(), s.values.bytes(), false);
      device_.write(s.columns, 0, s.host_columns.data(), s.columns.bytes(), false);
      device_.write(s.rows, 0, s.host_rows.data(), s.rows.bytes(), false);
      device_.write(x_, 0, host_x_.data(), x_.bytes(), false);
    };
    // All terms are positive: however they are added, the relative error is below one rounding a term.
    const double bound = longest * static_cast<double>(std::numeric_limits<T>::epsilon());
    const auto verify = [&](const std::string& what) {
      const auto y = host_y_.template as<T>();
      double worst = 0;
      for (int row = 0; row < rows_; ++row) {
        const double error = std::abs(static_cast<double>(y[row]) - reference_[row]) /
                             std::max(reference_[row], std::numeric_limits<double>::min());
        if (!(error <= worst)) worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
      }
      run_.check(what, worst, bound);
    };
    transfer();
    device_.fill(y_, 0, 0x7fc00000, y_.bytes());
    run_.sample({metric, "GFLOPS"}, rates(operations * repeats, run_.device_seconds([&] {
                  for (int i = 0; i < repeats; ++i) launch();
                })));
    device_.read(y_, 0, host_y_.data(), y_.bytes());
    verify(metric);
    device_.fill(y_, 0, 0x7fc00000, y_.bytes());
    device_.fill(s.values, 0, 0x7fc00000, s.values.bytes());
    run_.sample({metric + "_pcie", "GFLOPS", true, true}, rates(operations, run_.wall_seconds([&] {
                  transfer();
                  launch();
                  device_.read(y_, 0, host_y_.data(), y_.bytes());
                })));
    verify(metric + "_pcie");
  }

  Run& run_;
  device::Device& device_;
  const char* variant_;
  std::string suffix_;
  const std::vector<double>& reference_;
  int rows_ = 0;
  device::PinnedMemory host_x_, host_y_;
  device::Buffer x_, y_;
};

template <typename T>
void multiply(Run& run, const char* variant, const std::string& suffix, const Matrix& m, const Matrix& pad,
              const std::vector<float>& x, const std::vector<double>& reference) {
  Spmv<T> spmv(run, variant, suffix, x, reference);
  spmv.csr(m, "");
  spmv.csr(pad, "_pad");
  spmv.ellpackr(m);
}

}  // namespace

void spmv(Run& run) {
  // SHOC's smallest and largest; and 67 million numbers.
  const int rows = run.pick(1024, 16384, 81920);
  const Matrix m = random_matrix(run.random(), rows);
  const Matrix pad = padded(m);
  std::vector<float> x(rows);
  for (float& value : x) value = static_cast<float>((run.random()() >> 44) + 1) / (1 << 17);
  std::vector<double> reference(rows);
  for (int row = 0; row < rows; ++row) {
    for (int i = m.begins[row]; i < m.begins[row + 1]; ++i) {
      reference[row] += static_cast<double>(m.values[i]) * static_cast<double>(x[m.columns[i]]);
    }
  }
  multiply<float>(run, "sp", "_sp", m, pad, x, reference);
  if (run.info().fp64) {
    multiply<double>(run, "dp", "_dp", m, pad, x, reference);
  } else {
    run.skip("spmv_csr_scalar_dp", "The device has no double precision.");
  }
}

}  // namespace nm::workload::shoc
