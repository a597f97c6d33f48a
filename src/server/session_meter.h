// Counts what a session does, into the page that its daemon reads (server/session_page.h). All on the session's thread;
// a few instructions a record, some more where memory is allocated or freed.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>

#include "driver_table.h"
#include "server/session_page.h"
#include "wire/record.h"

namespace nm::server {

class SessionMeter {
 public:
  // `page` outlives it; null: nobody reads.
  SessionMeter(const DriverTable& driver, SessionPage* page);

  void arrived(const wire::RecordHeader& record) {
    add(record.sequence ? page_.waited : page_.posted, 1);
    add(page_.bytes_in, record.size + record.bulk);
  }
  void launched() { add(page_.kernels, 1); }
  // A record's operation has succeeded, or is under way. `body` is what came with it, `reply` what goes back.
  void done(uint16_t op, CUcontext context, std::span<const uint8_t> body, std::span<const uint8_t> reply);
  void sent(uint64_t bytes) { add(page_.bytes_out, bytes); }
  // All that arrived until now has been handled.
  void called(int64_t now_us) { set(page_.last_call_us, static_cast<uint64_t>(now_us)); }

  // `context` is gone, and what was allocated in it.
  void leave(CUcontext context);

 private:
  struct Memory {
    uint64_t size;
    CUcontext context;  // null: it outlives them
    CUdevice device;
    uint32_t uses;
  };
  void memory_changed(uint16_t op, CUcontext context, std::span<const uint8_t> body, std::span<const uint8_t> reply);
  void hold(uint64_t key, uint64_t size, CUcontext context);
  void hold(uint64_t key, const Memory& memory);
  void drop(uint64_t key);
  void count(const Memory& memory, bool more);

  const DriverTable& driver_;
  SessionPage own_{};
  SessionPage& page_;
  // By address, or by handle: the two look different. `mapped_`: which physical memory lies where.
  std::unordered_map<uint64_t, Memory> held_;
  std::unordered_map<uint64_t, uint64_t> mapped_;
};

}  // namespace nm::server
