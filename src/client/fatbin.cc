#include "client/fatbin.h"

#include <string.h>

#include <algorithm>

namespace nm::client {
namespace {

constexpr uint32_t kMagic = 0xba55ed50;
enum Kind : uint16_t { kPtx = 1, kElf = 2 };

struct Header {
  uint32_t magic;
  uint16_t version, header_size;
  uint64_t payload_size;
};

// The beginning of an entry's header; there is more, and it stays as it is.
struct EntryHeader {
  uint16_t kind, unknown;
  uint32_t header_size;
  uint64_t payload_size;
  uint32_t compressed_size, unknown2, unknown3;
  uint32_t sm;  // 10 * major + minor
  uint32_t unknown4, unknown5;
  uint64_t flags;
};
static_assert(sizeof(EntryHeader) == 48);
constexpr uint64_t kCompressed = 0x2000 | 0x8000;                         // with LZ4, with Zstandard
constexpr uint64_t kArchitectureOnly = 0x100000, kFamilyOnly = 0x200000;  // sm_90a, sm_100f

struct Entry {
  std::span<const uint8_t> bytes;
  uint16_t kind;
  uint32_t sm;
  uint64_t flags;
};

// False: it is not laid out as we know it.
bool read_entries(std::span<const uint8_t> in, std::vector<Entry>* out) {
  while (!in.empty()) {
    EntryHeader e;
    if (in.size() < sizeof e) return false;
    memcpy(&e, in.data(), sizeof e);
    if (e.header_size < sizeof e || e.header_size % 8 || e.header_size > in.size()) return false;
    if (e.payload_size % 8 || e.payload_size > in.size() - e.header_size) return false;
    const size_t size = e.header_size + e.payload_size;
    out->push_back({in.first(size), e.kind, e.sm, e.flags});
    in = in.subspan(size);
  }
  return true;
}

bool read_fatbin(const Image& image, Header* header, std::vector<Entry>* entries) {
  if (image.size < sizeof *header) return false;
  memcpy(header, image.data, sizeof *header);
  if (header->magic != kMagic || header->version != 1 || header->header_size < sizeof *header ||
      header->header_size > image.size || header->payload_size != image.size - header->header_size) {
    return false;
  }
  const std::span all(static_cast<const uint8_t*>(image.data), image.size);
  return read_entries(all.subspan(header->header_size), entries);
}

uint32_t number_of(Architecture device) { return device.major * 10 + device.minor; }

bool runs_on(const Entry& e, Architecture device) {
  if (e.kind != kElf && e.kind != kPtx) return false;
  if (e.flags & kArchitectureOnly) return e.sm == number_of(device);
  if (e.kind == kPtx && !(e.flags & kFamilyOnly)) return e.sm <= number_of(device);
  return e.sm / 10 == device.major && e.sm % 10 <= device.minor;
}

// The architecture whose machine code the device would be given; 0: none runs there.
uint32_t nearest(const std::vector<Entry>& entries, Architecture device) {
  uint32_t best = 0;
  for (const Entry& e : entries) {
    if (e.kind == kElf && runs_on(e, device)) best = std::max(best, e.sm);
  }
  return best;
}

}  // namespace

std::vector<uint8_t> needed_part(const Image& image, std::span<const Architecture> devices, bool keep_ptx) {
  Header header;
  std::vector<Entry> entries;
  if (!read_fatbin(image, &header, &entries)) return {};
  std::vector<uint32_t> machine_code;  // by device
  for (const Architecture& device : devices) {
    machine_code.push_back(nearest(entries, device));
    keep_ptx = keep_ptx || machine_code.back() != number_of(device);
  }
  const auto wanted = [&](const Entry& e) {
    if (e.kind != kElf && e.kind != kPtx) return true;
    for (size_t i = 0; i < devices.size(); i++) {
      if (runs_on(e, devices[i]) && (e.kind == kPtx ? keep_ptx : e.sm == machine_code[i])) return true;
    }
    return false;
  };
  const auto* bytes = static_cast<const uint8_t*>(image.data);
  std::vector<uint8_t> part(bytes, bytes + header.header_size);
  bool left_out = false, any = false;
  for (const Entry& e : entries) {
    if (!wanted(e)) {
      left_out = true;
      continue;
    }
    any = any || e.kind == kElf || e.kind == kPtx;
    part.insert(part.end(), e.bytes.begin(), e.bytes.end());
  }
  if (!left_out || !any) return {};
  header.payload_size = part.size() - header.header_size;
  memcpy(part.data(), &header, sizeof header);
  return part;
}

bool holds_compressed(const Image& image) {
  Header header;
  std::vector<Entry> entries;
  if (!read_fatbin(image, &header, &entries)) return false;
  size_t compressed = 0;
  for (const Entry& e : entries) compressed += e.flags & kCompressed ? e.bytes.size() : 0;
  return compressed > image.size / 2;
}

}  // namespace nm::client
