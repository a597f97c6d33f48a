#include "wire/facts.h"

#include <algorithm>

namespace nm::wire {
namespace {

constexpr uint64_t kMaxDevices = 64, kMaxErrors = 4096, kMaxAttributes = 1024;

void write_ints(const std::vector<int32_t>& values, Writer& out) { out.bytes(values.data(), values.size() * 4); }

bool read_ints(Reader& in, std::vector<int32_t>* out) {
  auto bytes = in.bytes();
  if (bytes.size() % 4 != 0 || bytes.size() / 4 > kMaxAttributes) return false;
  out->resize(bytes.size() / 4);
  if (!bytes.empty()) std::memcpy(out->data(), bytes.data(), bytes.size());
  return true;
}

// A launch reads through as many of the program's pointers, and as far behind each, as a kernel's parameters are said
// to ask for. They lie one behind the other in a block no larger than CUDA has it.
bool plausible(const std::vector<std::array<uint64_t, 2>>& parameters) {
  uint64_t end = 0;
  for (auto [offset, size] : parameters) {
    if (offset < end || offset > kMaxParameterBytes || size > kMaxParameterBytes - offset) return false;
    end = offset + size;
  }
  return true;
}

template <size_t N>
bool read_fixed(Reader& in, std::array<uint8_t, N>* out) {
  auto bytes = in.bytes();
  if (bytes.size() != N) return false;
  std::copy(bytes.begin(), bytes.end(), out->begin());
  return true;
}

}  // namespace

void write_facts(const Facts& facts, Writer& out) {
  out.u64(static_cast<uint64_t>(facts.driver_version));
  out.u64(facts.loading_mode);
  out.u64(facts.devices.size());
  for (const DeviceFacts& d : facts.devices) {
    out.string(d.name);
    out.bytes(d.uuid.data(), d.uuid.size());
    out.bytes(d.luid.data(), d.luid.size());
    out.u64(d.node_mask);
    out.u64(static_cast<uint64_t>(d.luid_result));
    out.u64(d.total_memory);
    out.string(d.pci_bus_id);
    write_ints(d.attribute_result, out);
    write_ints(d.attribute_value, out);
  }
  out.u64(facts.errors.size());
  for (const ErrorText& e : facts.errors) {
    out.u64(static_cast<uint64_t>(e.code));
    out.string(e.name);
    out.string(e.text);
  }
  out.pod(facts.identity);
}

bool read_facts(Reader& in, Facts* out) {
  out->driver_version = static_cast<int32_t>(in.u64());
  out->loading_mode = static_cast<uint32_t>(in.u64());
  uint64_t devices = in.u64();
  if (devices > kMaxDevices) return false;
  out->devices.resize(devices);
  for (DeviceFacts& d : out->devices) {
    d.name = in.string();
    if (!read_fixed(in, &d.uuid) || !read_fixed(in, &d.luid)) return false;
    d.node_mask = static_cast<uint32_t>(in.u64());
    d.luid_result = static_cast<int32_t>(in.u64());
    d.total_memory = in.u64();
    d.pci_bus_id = in.string();
    if (!read_ints(in, &d.attribute_result) || !read_ints(in, &d.attribute_value)) return false;
    if (d.attribute_result.size() != d.attribute_value.size()) return false;
  }
  uint64_t errors = in.u64();
  if (errors > kMaxErrors) return false;
  out->errors.resize(errors);
  for (ErrorText& e : out->errors) {
    e.code = static_cast<int32_t>(in.u64());
    e.name = in.string();
    e.text = in.string();
  }
  in.pod(&out->identity);
  return !in.bad();
}

void write_function_facts(const FunctionFacts& facts, Writer& out) {
  out.string(facts.name);
  out.bytes(facts.parameters.data(), facts.parameters.size() * sizeof(facts.parameters[0]));
  write_ints(facts.attribute_result, out);
  write_ints(facts.attribute_value, out);
}

bool read_function_facts(Reader& in, FunctionFacts* out) {
  out->name = in.string();
  auto bytes = in.bytes();
  constexpr size_t kEntry = sizeof(out->parameters[0]);
  if (bytes.size() % kEntry != 0 || bytes.size() / kEntry > kMaxParameters) return false;
  out->parameters.resize(bytes.size() / kEntry);
  if (!bytes.empty()) std::memcpy(out->parameters.data(), bytes.data(), bytes.size());
  if (!plausible(out->parameters)) return false;
  if (!read_ints(in, &out->attribute_result) || !read_ints(in, &out->attribute_value)) return false;
  return !in.bad() && out->attribute_result.size() == out->attribute_value.size();
}

}  // namespace nm::wire
