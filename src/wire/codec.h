// Arguments as bytes. Every scalar takes 8 bytes; arrays are a byte count and their bytes, padded to 8.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

namespace nm::wire {

inline constexpr uint64_t kNull = ~0ull;  // byte count of an array whose pointer was null

class Writer {
 public:
  explicit Writer(std::vector<uint8_t>& out) : out_(out) {}

  void u64(uint64_t value) { words({value}); }
  // Several at once: growing the buffer is what takes the time.
  void words(std::initializer_list<uint64_t> values) {
    auto* first = reinterpret_cast<const uint8_t*>(values.begin());
    out_.insert(out_.end(), first, first + values.size() * 8);
  }
  void bytes(const void* data, size_t size) {
    const uint64_t count = size;
    size_t at = out_.size();
    out_.resize(at + 8 + ((size + 7) & ~size_t{7}));
    std::memcpy(out_.data() + at, &count, 8);
    if (size) std::memcpy(out_.data() + at + 8, data, size);
  }
  void null() { u64(kNull); }
  template <typename T>
  void pod(const T& value) {
    bytes(&value, sizeof(T));
  }
  void string(std::string_view s) { bytes(s.data(), s.size()); }

 private:
  std::vector<uint8_t>& out_;
};

// Reads what a stranger wrote: the first thing that does not fit latches bad(), and everything after reads as zero.
class Reader {
 public:
  explicit Reader(std::span<const uint8_t> in) : in_(in) {}

  uint64_t u64() {
    if (in_.size() - at_ < 8) return fail();
    uint64_t value;
    std::memcpy(&value, in_.data() + at_, 8);
    at_ += 8;
    return value;
  }
  // Several at once, with one look at what is left; word() takes them out. If they are not all there, all are zero.
  const uint8_t* words(size_t count) {
    static constexpr uint8_t kZeros[8 * kMaxWords] = {};
    if ((in_.size() - at_) / 8 < count) {
      fail();
      return kZeros;
    }
    const uint8_t* at = in_.data() + at_;
    at_ += 8 * count;
    return at;
  }
  static constexpr size_t kMaxWords = 32;
  static uint64_t word(const uint8_t* words, size_t i) {
    uint64_t value;
    std::memcpy(&value, words + 8 * i, 8);
    return value;
  }
  // Bytes stay in the record's buffer. `is_null` may be null where a null array is not allowed.
  std::span<const uint8_t> bytes(bool* is_null = nullptr) {
    uint64_t size = u64();
    if (is_null) *is_null = size == kNull;
    if (size == kNull && is_null) return {};
    uint64_t padded = (size + 7) & ~7ull;
    if (padded < size || padded > in_.size() - at_) {
      fail();
      return {};
    }
    auto out = in_.subspan(at_, size);
    at_ += padded;
    return out;
  }
  // A copy, because the buffer's alignment is 8 and its content may be shared with a hostile writer.
  template <typename T>
  bool pod(T* value, bool* is_null = nullptr) {
    auto in = bytes(is_null);
    if (is_null && *is_null) return false;
    if (in.size() != sizeof(T)) {
      fail();
      return false;
    }
    std::memcpy(static_cast<void*>(value), in.data(), sizeof(T));
    return true;
  }
  std::string_view string() {
    auto in = bytes();
    return {reinterpret_cast<const char*>(in.data()), in.size()};
  }
  // For a reader that finds the content impossible.
  void refuse() { fail(); }
  bool bad() const { return bad_; }
  bool at_end() const { return at_ == in_.size(); }

 private:
  uint64_t fail() {
    bad_ = true;
    at_ = in_.size();
    return 0;
  }

  std::span<const uint8_t> in_;
  size_t at_ = 0;
  bool bad_ = false;
};

}  // namespace nm::wire
