// What the rows of the tables look like on the wire, and how a fuzzer's bytes become messages of those shapes: the
// decoder accepts most of them, so that what lies behind it is reached.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "wire/codec.h"
#include "wire/handle.h"

namespace nm::fuzz {

// One item of a body. `what`:
//   u number · n number that says how many others are · h handle · w handle that the client draws · p struct
//   v struct that begins with its version (size and count: two tags that it may have) · s text · f whether something is
//   wanted · a array · H array of handles · b bytes of any number · B bytes that follow as bulk
// `slot`: which number says how many, 0: `count` does. `size`: of one element.
struct Item {
  char what;
  bool opt;
  uint8_t slot;
  uint8_t kind;
  uint32_t size;
  uint32_t count;
};

// Items from `ins` on are the call's, from `outs` on the reply's.
struct Row {
  uint16_t id;
  bool waits;
  const char* name;
  uint16_t ins, outs, end;
};

constexpr size_t kSlots = 8;
using Numbers = std::array<uint64_t, kSlots>;

// A fuzzer's bytes; zeros when they are used up.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), left_(size) {}

  size_t left() const { return left_; }
  template <typename T>
  T take() {
    T value{};
    copy(&value, sizeof value);
    return value;
  }
  void copy(void* to, size_t size) {
    size_t n = std::min(size, left_);
    if (n) std::memcpy(to, data_, n);
    data_ += n, left_ -= n;
  }
  // Mostly small, sometimes one of those that break arithmetic.
  uint64_t number() {
    constexpr uint64_t kOdd[] = {~0ull,      1ull << 63, (1ull << 63) - 1, 0xffffffff,       1ull << 32,   0x7fffffff,
                                 0x80000000, 1ull << 40, (1ull << 40) + 1, 1ull << 47,       4096,         8192,
                                 4ull << 20, kShared,    kShared + 4096,   kShared + 8191,   kShared + 1,  0x10000,
                                 0x10040,    1ull << 20, 1ull << 16,       (1ull << 20) + 1, ~0ull - 4095, ~0ull - 1,
                                 1000};
    auto c = take<uint8_t>();
    if (c < 128) return c;
    if (c == 255) return take<uint64_t>();
    if (c >= 192) return handle(1 + take<uint8_t>() % 24);  // some numbers are handles
    return kOdd[(c - 128) % std::size(kOdd)];
  }
  // Few of every kind, so that what one message makes another one finds.
  uint64_t handle(uint8_t kind) {
    auto c = take<uint8_t>();
    if (c == 255) return take<uint64_t>();
    if (c == 0) return 0;
    if (c == 254) return 1;  // the legacy stream
    if (c >= 192)
      return wire::Handle{kind, static_cast<uint16_t>(1 + (c >> 5 & 1)), wire::kServerBit | (c & 7u)}.value();
    const uint32_t drawn = drawn_[kind % kKinds];
    return wire::Handle{kind, 0, drawn ? c % drawn : c & 3u}.value();
  }
  // As a client draws it, most of the time.
  uint64_t new_handle(uint8_t kind) {
    auto c = take<uint8_t>();
    if (c >= 250) return handle(kind);
    return wire::Handle{kind, 0, drawn_[kind % kKinds]++}.value();
  }

  static constexpr uint64_t kShared = 0x200000000000;  // an address that host memory may be shared at

 private:
  static constexpr size_t kKinds = 32;

  const uint8_t* data_;
  size_t left_;
  uint32_t drawn_[kKinds] = {};
};

// Writes one body. `numbers` are those that counts refer to: chosen here, or, in a reply, those of the call.
class Shaper {
 public:
  Shaper(Input& in, std::vector<uint8_t>& out) : in_(in), w_(out) {}

  // The length of the bulk that belongs to it.
  uint64_t body(std::span<const Item> items, Numbers& numbers, bool reply) {
    uint64_t bulk = 0;
    uint8_t seen[kSlots] = {};
    for (const Item& i : items) {
      // A number may come behind what it counts.
      if (i.slot && i.slot < kSlots && !seen[i.slot]++ && !reply) numbers[i.slot] = count();
      // A hostile server's counts and lengths are not always those that it was asked for.
      const uint8_t twist = reply ? in_.take<uint8_t>() : 0;
      if (twist < 240) {
        one(i, numbers, &bulk);
        continue;
      }
      Numbers wrong = numbers;
      if (i.slot && i.slot < kSlots) wrong[i.slot] = twist < 248 ? numbers[i.slot] + twist - 243 : in_.number();
      one(i, wrong, &bulk);
    }
    return bulk;
  }

 private:
  uint64_t count() {
    auto c = in_.take<uint8_t>();
    if (c < 128) return c % 5;
    if (c < 192) return 16 * (c % 6);  // lists of structs that travel as bytes
    return c < 248 ? c : in_.number();
  }
  void raw(size_t size) {
    bytes_.assign(size, 0);
    auto how = in_.take<uint8_t>();
    if (how % 4 == 1) in_.copy(bytes_.data(), size);
    // The smallest that is something: a box of one byte, say.
    if (how % 8 == 4) {
      for (size_t at = 0; at + 8 <= size; at += 8) bytes_[at] = 1 + in_.take<uint8_t>() % 4 % 3;
    }
    // Words of their own, as a struct's fields are.
    if (how % 4 >= 2) {
      for (size_t at = 0; at + 8 <= size; at += 8) {
        uint64_t value = in_.number();
        std::memcpy(bytes_.data() + at, &value, 8);
      }
    }
    if (how % 4 == 3) {
      for (size_t at = 0; at + 4 <= size; at += 4) bytes_[at + 1] = bytes_[at + 2] = bytes_[at + 3] = 0;
    }
    w_.bytes(bytes_.data(), size);
  }
  void one(const Item& i, const Numbers& numbers, uint64_t* bulk) {
    uint64_t n = i.slot && i.slot < kSlots ? numbers[i.slot] : i.count;
    switch (i.what) {
      case 'n':
        return w_.u64(n);
      case 'u':
        return w_.u64(in_.number());
      case 'f':
        return w_.u64(in_.take<uint8_t>() & 1);
      case 'h':
        return w_.u64(in_.handle(i.kind));
      case 'w':
        return w_.u64(in_.new_handle(i.kind));
      case 'B':
        *bulk = n;
        return;
      case 'b':
        return raw(in_.take<uint8_t>() * 8u);
      case 's': {
        char text[32];
        size_t size = in_.take<uint8_t>() % sizeof text;
        for (size_t k = 0; k < size; k++) text[k] = static_cast<char>('a' + in_.take<uint8_t>() % 26);
        return w_.bytes(text, size);
      }
      case 'v': {
        uint32_t tag = in_.take<uint8_t>() & 1 ? i.size : i.count;
        bytes_.assign(tag & 0xffffff, 0);
        in_.copy(bytes_.data(), bytes_.size());
        std::memcpy(bytes_.data(), &tag, sizeof tag);
        return w_.bytes(bytes_.data(), bytes_.size());
      }
      case 'p':
        if (i.opt && (in_.take<uint8_t>() & 1)) return w_.null();
        return raw(i.size);
      case 'a':
        if (i.opt && (in_.take<uint8_t>() & 1)) return w_.null();
        return raw(std::min<uint64_t>(n, 4096) * i.size);
      case 'H': {
        std::vector<uint64_t> handles(std::min<uint64_t>(n, 64));
        for (uint64_t& h : handles) h = in_.handle(i.kind);
        return w_.bytes(handles.data(), handles.size() * 8);
      }
    }
  }

  Input& in_;
  wire::Writer w_;
  std::vector<uint8_t> bytes_;
};

}  // namespace nm::fuzz
