// A random program of the driver API: its memory, its streams, and its operations in one serial order. Every thread
// executes its own operations in that order; threads wait for each other only where an operation says so. Whatever two
// operations that touch the same memory do, one is known to be over before the other begins (clocks.h), so the serial
// order is as good as any and tells what memory must hold.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace order {

// Kernels use what is mapped by its device pointer; pinned and registered memory is for copies.
enum class Place { device, pooled, pageable, pinned, registered, mapped, registered_mapped };

const char* place_name(Place place);
inline bool is_host(Place p) { return p >= Place::pageable; }
inline bool kernels_reach(Place p) { return p < Place::pageable || p >= Place::mapped; }

// Regions share buffers, so that an access which strays meets a neighbour. A pooled region is a buffer of its own,
// which comes and goes.
struct Region {
  Place place;
  int buffer;
  uint32_t offset, size;  // bytes; the offset is a multiple of 4
};

struct Buffer {
  Place place;
  uint32_t size;
};

struct StreamSpec {
  enum Kind { legacy, per_thread, blocking, non_blocking, capturing } kind;
  int owner = -1;  // the thread, of per_thread and capturing
  int priority = 0;
};

// Bytes of a region, from `offset` in it.
struct Span {
  int region = -1;
  uint32_t offset = 0, size = 0;
};

enum class Kind {
  fold,           // kernel: dst = dst * a + b, each word, after a while
  mix,            // kernel: dst = dst * a + src * b, src repeated
  fill,           // memset
  copy,           // dst = src
  copy_2d,        // rows of it
  host_function,  // fold of host memory, or mix if there is a src, in stream order
  host_write,     // fold of host memory by the thread
  host_check,     // the thread looks at host memory
  record,         // event `object` in the stream
  wait_event,     // the stream waits for event `object`
  sync_event,
  poll_event,  // cuEventQuery until it is over
  sync_stream,
  poll_stream,
  sync_context,
  wait_thread,  // for operation `target`, which is another thread's
  allocate,     // cuMemAllocAsync of dst, then all of it filled
  release,      // cuMemFreeAsync of dst
  capture,      // `nodes` become graph `object`
  launch_graph,
};

struct Op {
  Kind kind = Kind::sync_context;
  int id = 0;  // place in the serial order of what was generated
  int thread = 0;
  int stream = -1;
  Span dst, src;
  uint32_t a = 0, b = 0, c = 0;  // numbers of the fold; fill: a is the value, b bytes each (1, 2, 4)
  uint32_t delay = 0;            // kernels: steps to compute before writing
  bool waits = false;            // the form of the call that is ordered as if in the legacy stream and may wait
  uint32_t form = 0;             // which of several calls that do the same
  int object = -1;               // event, graph
  int target = -1;               // wait_thread: id of what it waits for; launch_graph: of the capture
  uint32_t width = 0, height = 0, dst_pitch = 0, src_pitch = 0;
  std::vector<Op> nodes;  // of a capture and of a launch of its graph: in order; `object` 1: in the branch beside
};

struct Program {
  uint64_t seed = 0;
  int threads = 1, events = 0, graphs = 0;
  std::vector<Buffer> buffers;
  std::vector<Region> regions;
  std::vector<StreamSpec> streams;  // 0 is the legacy stream
  std::vector<Op> ops;

  const Region& region(const Span& s) const { return regions[static_cast<size_t>(s.region)]; }
};

// What an operation touches, and when: while it executes in its stream, or while the call is made. Events, graphs and
// the addresses of pooled regions are things that calls touch, too; they follow the regions in number.
struct Access {
  int thing;
  bool write;
  bool in_call;    // what came before must be known to the calling thread
  bool in_stream;  // and what comes after must be known to come after the execution
};
std::vector<Access> accesses(const Program& program, const Op& op);
inline int things(const Program& p) { return 2 * static_cast<int>(p.regions.size()) + p.events + p.graphs; }

// The operation enters a stream. Of these, records and waits carry no work.
bool is_posted(const Op& op);
bool is_work(const Op& op);
// A posted operation that is over when its call returns.
bool is_over_at_return(const Program& program, const Op& op);

// One line for people.
std::string describe(const Program& program, const Op& op);

// Operations 5, 6, 7 and 9 are "5-7,9".
std::string write_list(const std::vector<int>& ids);
bool read_list(const std::string& text, std::vector<int>* ids);

// The program with these operations only, its waits for threads bent to what is left.
Program keep_only(const Program& program, const std::vector<int>& ids);

}  // namespace order
