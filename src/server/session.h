// One client's session: its connection, its handles, and the driver that serves it, all on one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "driver_table.h"
#include "handle_tables.h"
#include "server/call.h"
#include "server/completions.h"
#include "server/connection.h"
#include "server/host_functions.h"
#include "server/host_ranges.h"
#include "server/image_cache.h"
#include "server/lane_memory.h"
#include "server/output.h"
#include "server/session_meter.h"
#include "server/staging.h"
#include "server/stream_use.h"
#include "wire/lanes.h"

namespace nm::server {

class Graphs;

class Session {
 public:
  // `lanes`: those that the client joins, in the meantime and later. It outlives the session. `page`: where it tells what
  // it does; null: nowhere.
  Session(const DriverTable& driver, Connection connection, HostFunctions& host_functions, wire::Lanes& lanes,
          SessionPage* page = nullptr);
  ~Session();
  // Before run(): what the client knows the session by, and where images outlive it. Else the session keeps no image.
  void keep_images(const wire::Token& token, ImageCache cache) {
    token_ = token;
    image_cache_ = std::move(cache);
  }
  // Until the client goes or breaks the protocol.
  void run();

  const DriverTable& driver() const { return driver_; }
  Tables& tables() { return tables_; }
  Connection& connection() { return connection_; }
  Completions& completions() { return completions_; }
  Staging& staging() { return staging_; }
  HostRanges& host_ranges() { return host_ranges_; }
  HostFunctions& host_functions() { return host_functions_; }
  Graphs& graphs() { return *graphs_; }
  wire::Lanes& lanes() { return lanes_; }
  LaneMemory& lane_memory() { return lane_memory_; }
  // The handler of a record whose bytes go over lanes sees to their end itself, whatever it returns.
  void takes_transfer() { transfer_taken_ = true; }

  // Images that the driver may still read, and what belongs to a linker until it is destroyed.
  std::deque<std::vector<uint8_t>>& images() { return images_; }
  ImageCache& image_cache() { return image_cache_; }
  const wire::Token& token() const { return token_; }
  std::map<CUlinkState, std::shared_ptr<void>>& linker_options() { return linker_options_; }

  // Managed variables of modules, by address: the only memory of this process outside host_ranges() that a client reads.
  std::map<uint64_t, uint64_t>& managed_variables() { return managed_variables_; }
  bool is_managed_variable(uint64_t address, uint64_t size) const;

  // The record being handled.
  const wire::RecordHeader& record() const { return record_; }
  CUcontext context() const { return current_; }
  // Reads the record's bulk; false: the client sent another size than it announced, or went.
  bool read_bulk(void* to, uint64_t size);
  // Makes room as the bytes arrive: a client that announces much and sends little costs little.
  bool read_bulk(uint64_t size, std::vector<uint8_t>* out);
  // Makes `context` current for what follows in this record.
  CUresult enter(CUcontext context);

  // `context` is about to be destroyed: waits for what we have under way in it and forgets what the driver will free.
  void leave(CUcontext context);
  std::map<CUdevice, CUcontext>& primary_contexts() { return primary_contexts_; }

  // 0 and 1 are the legacy stream; a stream that is named here counts as used.
  bool stream_of(uint64_t handle, CUstream* out);
  bool function_of(uint64_t handle, CUfunction* out);
  // The driver has something to do that it does only when it is synchronised, for every stream.
  bool owes_synchronisation() const { return may_print_ || freed_in_stream_; }
  void may_print() { may_print_ = true; }

  StreamUse::Wait take_used_streams() { return streams_.take(current_); }
  bool is_blocking(CUstream stream) const { return streams_.is_blocking(stream); }
  // The stream goes, the work in it does not: the next synchronisation of its context waits for that, too.
  void retire_stream(CUstream stream);
  void add_stream(CUstream stream, unsigned flags) { streams_.created(stream, current_, !(flags & CU_STREAM_NON_BLOCKING)); }

  // For a handler that returns kDeferred: the reply to this record, later.
  struct Later {
    uint32_t sequence;
    uint64_t context;
  };
  Later later() const { return {record_.sequence, record_.context}; }
  void reply(const Later& to, CUresult result, std::span<const uint8_t> body = {},
             std::vector<std::span<const uint8_t>> bulk = {}, std::function<void()> release = nullptr, int fd = -1);
  void push(wire::PushKind kind, std::initializer_list<uint64_t> words, std::span<const uint8_t> bytes = {},
            std::function<void()> release = nullptr);
  // A completion will push something that no later reply may overtake: counted until it has.
  void expect_push() { pushes_expected_++; }
  void has_pushed() { pushes_expected_--; }
  // The program may take what a reply says as a sign that earlier work is done: what that work brought goes first. To be
  // called when it is settled what the reply says, before it is sent.
  void push_first();
  // A descriptor that goes with the reply to the record being handled.
  void attach_fd(int fd) { reply_fd_ = fd; }

  // A posted record failed: the next reply in its context says so.
  void keep_error(uint64_t context, CUresult result);

  // Captures under way, by the client's thread that began them.
  struct Capture {
    uint32_t thread;
    CUstreamCaptureMode mode;
    CUcontext context;
  };
  bool any_capture() const { return !captures_.empty(); }
  const Capture* capture_of(CUstream stream) const;  // begun in this stream; null: none
  void capture_begins(CUstream stream, CUstreamCaptureMode mode);
  void capture_ends(CUstream stream);
  // What the calling thread lets captures forbid it, as it told with cuThreadExchangeStreamCaptureMode.
  void set_thread_mode(CUstreamCaptureMode mode);

 private:
  // The kinds whose objects die with their context.
  template <typename F>
  void each_owned_table(F&& f);
  bool handle_one(std::span<const uint8_t> body);  // of record_
  bool launch_quickly(std::span<const uint8_t> body);
  bool give_up_transfer(std::span<const uint8_t> body);
  void send_output();
  CUresult take_error(uint64_t context);
  // True if some capture forbids the client's thread what may not happen during one.
  bool capture_forbids(uint32_t thread) const;
  // A posted record failed: if its stream is being captured, the capture is broken, and its end is where the client
  // hears of it. False: it is not.
  bool break_capture();

  const DriverTable& driver_;
  Connection connection_;
  Tables tables_;
  Completions completions_;
  Staging staging_;
  HostRanges host_ranges_;
  HostFunctions& host_functions_;
  wire::Lanes& lanes_;
  LaneMemory lane_memory_;
  bool transfer_taken_ = false;
  Output output_;
  SessionMeter meter_;
  std::map<CUdevice, CUcontext> primary_contexts_;
  std::map<uint64_t, uint64_t> managed_variables_;
  std::deque<std::vector<uint8_t>> images_;
  ImageCache image_cache_;
  wire::Token token_;
  std::map<CUlinkState, std::shared_ptr<void>> linker_options_;

  wire::RecordHeader record_{};
  uint64_t bulk_left_ = 0;
  CUcontext current_ = nullptr;
  bool current_known_ = false;
  int reply_fd_ = -1;
  std::vector<uint8_t> reply_body_;
  std::map<uint64_t, CUresult> errors_;
  StreamUse streams_;
  bool may_print_ = false, freed_in_stream_ = false;
  std::map<CUstream, Capture> captures_;
  CUstream named_stream_ = nullptr;  // by the record being handled; null: none, or the legacy stream
  std::map<uint32_t, CUstreamCaptureMode> thread_modes_;  // of threads that are not in the default mode
  int pushes_expected_ = 0;
  std::unique_ptr<Graphs> graphs_;
};

}  // namespace nm::server
