// What a hostile client sends over a connection: records with any operation of a table, whole and broken, repeated, out
// of turn, and an end anywhere.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "shape.h"
#include "wire/record.h"

namespace nm::fuzz {

// Input: repeated { u8 how, u16 row, ... }. `context`: the kind of the handles that a record's header may have.
// More is cut off.
constexpr size_t kMostStream = 512 << 10;

inline std::vector<uint8_t> hostile_stream(Input in, std::span<const Row> rows, std::span<const Item> items,
                                           uint8_t context) {
  // What breaks a session is rare, so that what needs several good records is reached, too.
  enum How : uint8_t { kBytes = 26, kHeader, kAgain, kEarlier, kCut, kLonger };
  constexpr size_t kMostRecords = 128, kMostBulk = 64 << 10;
  std::vector<std::vector<uint8_t>> records;
  uint32_t sequence = 1;
  size_t cut = 0;
  while (in.left() > 2 && records.size() < kMostRecords) {
    const uint8_t how = in.take<uint8_t>();
    const uint16_t pick = in.take<uint16_t>();
    const uint8_t act = how / 8;
    // Replayed to the byte, its number included; and two in each other's place.
    if (act == kAgain) {
      if (!records.empty()) records.push_back(records[pick % records.size()]);
      continue;
    }
    if (act == kEarlier) {
      if (records.size() > 1) std::swap(records.back(), records[pick % records.size()]);
      continue;
    }
    if (act == kCut) {
      cut = pick;
      break;
    }
    const Row& row = rows[pick % rows.size()];
    wire::RecordHeader header{};
    header.op = row.id;
    header.thread = how & 3;
    header.sequence = row.waits ? sequence++ : 0;
    if (how & 4) header.context = in.handle(context);
    std::vector<uint8_t> body;
    uint64_t bulk = 0;
    if (act == kBytes) {
      body.resize(in.take<uint16_t>() % 1024);
      in.copy(body.data(), body.size());
      bulk = in.take<uint8_t>();
    } else {
      Numbers numbers{};
      bulk = Shaper(in, body).body(items.subspan(row.ins, row.outs - row.ins), numbers, false);
    }
    if (act == kLonger) body.resize(body.size() + 8 * (1 + pick / 8192));
    header.size = static_cast<uint32_t>(sizeof header + body.size());
    header.bulk = bulk;
    if (act == kHeader) in.copy(&header, sizeof header);
    auto* h = reinterpret_cast<const uint8_t*>(&header);
    std::vector<uint8_t> record(h, h + sizeof header);
    record.insert(record.end(), body.begin(), body.end());
    const size_t behind = record.size();
    record.resize(behind + std::min<uint64_t>(bulk, kMostBulk));
    in.copy(record.data() + behind, std::min<size_t>(record.size() - behind, 64));
    records.push_back(std::move(record));
  }
  std::vector<uint8_t> stream;
  for (const auto& r : records) stream.insert(stream.end(), r.begin(), r.end());
  if (stream.size() > kMostStream) stream.resize(kMostStream);
  stream.resize(stream.size() - std::min(cut, stream.size()));
  return stream;
}

}  // namespace nm::fuzz
