// What a client is told once, at cuInit, so that it can answer most questions itself.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "wire/codec.h"

namespace nm::wire {

struct DeviceFacts {
  std::string name;
  std::array<uint8_t, 16> uuid{};
  std::array<uint8_t, 8> luid{};
  uint32_t node_mask = 0;
  int32_t luid_result = 0;     // what the driver answers where there is no LUID
  uint64_t total_memory = 0;   // bytes
  std::string pci_bus_id;
  std::vector<int32_t> attribute_result;  // CUresult by attribute number
  std::vector<int32_t> attribute_value;
};

struct ErrorText {
  int32_t code = 0;
  std::string name, text;
};

// Where the genuine driver keeps what the runtime's identity question hashes; zero: the driver has no such tables.
struct IdentityPlace {
  uint64_t cudart_table = 0, cudart_size = 0;
  uint64_t integrity_table = 0, integrity_size = 0;
  uint64_t integrity_function = 0;
};

struct Facts {
  int32_t driver_version = 0;
  uint32_t loading_mode = 0;
  std::vector<DeviceFacts> devices;
  std::vector<ErrorText> errors;
  IdentityPlace identity;
};

void write_facts(const Facts& facts, Writer& out);
bool read_facts(Reader& in, Facts* out);  // false: malformed

// The most that CUDA lets a kernel take.
inline constexpr uint64_t kMaxParameters = 4096, kMaxParameterBytes = 32764;

// What a launch and the attribute queries need to know of one kernel.
struct FunctionFacts {
  std::string name;
  std::vector<std::array<uint64_t, 2>> parameters;  // offset and size in bytes, ascending, none in another
  std::vector<int32_t> attribute_result;            // CUresult by CUfunction_attribute
  std::vector<int32_t> attribute_value;
};

void write_function_facts(const FunctionFacts& facts, Writer& out);
bool read_function_facts(Reader& in, FunctionFacts* out);  // false: malformed, or no kernel can be like this

}  // namespace nm::wire
