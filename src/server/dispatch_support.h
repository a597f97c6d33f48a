// What the generated handlers stand on.
#pragma once

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "server/session.h"
#include "wire/codec.h"

namespace nm::server {

template <typename T>
bool decode_array(wire::Reader& in, std::vector<T>* out, bool* is_null) {
  auto bytes = in.bytes(is_null);
  if (bytes.size() % sizeof(T) != 0 || bytes.size() / sizeof(T) > kMaxElements) return false;
  out->resize(bytes.size() / sizeof(T));
  if (!bytes.empty()) std::memcpy(static_cast<void*>(out->data()), bytes.data(), bytes.size());
  return true;
}

template <typename H>
bool decode_handles(wire::Reader& in, const HandleTable<H>& table, std::vector<H>* out, bool* is_null, bool* bad_handle) {
  std::vector<uint64_t> values;
  if (!decode_array(in, &values, is_null)) return false;
  out->resize(values.size());
  for (size_t i = 0; i < values.size(); i++) {
    if (!table.find(values[i], &(*out)[i])) *bad_handle = true;
  }
  return true;
}

template <typename H>
void encode_handles(wire::Writer& out, HandleTable<H>& table, const std::vector<H>& handles) {
  std::vector<uint64_t> values;
  for (H h : handles) values.push_back(table.virtual_of(h));
  out.bytes(values.data(), values.size() * sizeof(uint64_t));
}

}  // namespace nm::server
