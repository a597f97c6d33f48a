#include "order/generate.h"

#include <algorithm>

#include "order/clocks.h"
#include "order/random.h"

namespace order {
namespace {

constexpr uint32_t kMostThreads = 4;       // of the program
constexpr uint32_t kMostWords = 32 << 10;  // that a kernel works on
constexpr uint32_t kMostSteps = 2 << 20;   // of its delay, all its threads together
constexpr uint32_t kMostHostFold = 128 << 10;

size_t at(int i) { return static_cast<size_t>(i); }

class Generator {
 public:
  Generator(uint64_t seed, int operations, const std::string& without)
      : random_(seed), operations_(operations), without_("," + without + ",") {
    p_.seed = seed;
    p_.threads = 1 + static_cast<int>(random_.below(kMostThreads));
    p_.events = 6;
    p_.graphs = 3;
    lay_out_memory();
    make_streams();
    graphs_read_pageable_ = random_.chance(50);
    live_.assign(p_.regions.size(), false);
    for (size_t r = 0; r < p_.regions.size(); r++) live_[r] = p_.regions[r].place != Place::pooled;
    graphs_.resize(at(p_.graphs));
    captured_.assign(at(p_.graphs), -1);
    clocks_.emplace_back(p_);
  }

  Program take() {
    for (int tries = 0; static_cast<int>(p_.ops.size()) < operations_ && tries < operations_ * 20; tries++) {
      const int thread = static_cast<int>(random_.below(static_cast<uint32_t>(p_.threads)));
      Op op;
      if (!draw(thread, &op)) continue;
      if (put_in_order(op)) emit(op);
    }
    return std::move(p_);
  }

 private:
  Clocks& clocks() { return clocks_.back(); }

  // Memory and streams.

  uint32_t draw_size() {
    uint32_t size;
    const uint32_t which = random_.below(100);
    if (which < 25)
      size = random_.between(1, 64);
    else if (which < 55)
      size = random_.between(65, 16 << 10);
    else if (which < 70)
      size = random_.between(15 << 10, 17 << 10);  // where the client begins to stage
    else if (which < 90)
      size = random_.between(17 << 10, 260 << 10);
    else
      size = random_.between(260 << 10, 5 << 20);
    return (size + 3) & ~3u;
  }

  void add_buffer(Place place, int regions, uint32_t most) {
    Buffer buffer{place, 0};
    for (int i = 0; i < regions; i++) {
      const uint32_t size = std::min(draw_size(), most);
      p_.regions.push_back({place, static_cast<int>(p_.buffers.size()), buffer.size, size});
      buffer.size += size;
    }
    p_.buffers.push_back(buffer);
  }

  void lay_out_memory() {
    for (int i = 0; i < 3; i++) add_buffer(Place::device, 4, 8 << 20);
    for (int i = 0; i < 3; i++) add_buffer(Place::pooled, 1, 1 << 20);
    for (Place place : {Place::pageable, Place::pinned, Place::pageable, Place::pinned}) add_buffer(place, 3, 8 << 20);
    add_buffer(Place::registered, 3, 8 << 20);
    add_buffer(Place::mapped, 3, 1 << 20);
    add_buffer(Place::registered_mapped, 3, 1 << 20);
  }

  void make_streams() {
    p_.streams.push_back({StreamSpec::legacy});
    for (int t = 0; t < p_.threads; t++) p_.streams.push_back({StreamSpec::per_thread, t});
    for (uint32_t n = random_.between(2, 5); n; n--) {
      p_.streams.push_back({random_.chance(65) ? StreamSpec::non_blocking : StreamSpec::blocking, -1,
                            -static_cast<int>(random_.below(3))});
    }
    usable_ = static_cast<int>(p_.streams.size());
    for (int t = 0; t < p_.threads; t++) {
      for (int i = 0; i < 2; i++) p_.streams.push_back({StreamSpec::capturing, t});
    }
  }

  int draw_stream(int thread) {
    for (;;) {
      int s = static_cast<int>(random_.below(static_cast<uint32_t>(usable_)));
      const StreamSpec& stream = p_.streams[at(s)];
      if (stream.kind == StreamSpec::per_thread && stream.owner != thread) continue;
      if (s == 0 && random_.chance(60)) continue;  // it makes everything serial
      return s;
    }
  }

  // Operands.

  template <typename Fits>
  bool draw_region(Fits fits, int* out) {
    for (int i = 0; i < 40; i++) {
      int r = static_cast<int>(random_.below(static_cast<uint32_t>(p_.regions.size())));
      if (!live_[at(r)] || !fits(p_.regions[at(r)].place)) continue;
      if (in_graph_ && p_.regions[at(r)].place == Place::pooled) continue;
      if (is_out(place_name(p_.regions[at(r)].place))) continue;
      *out = r;
      return true;
    }
    return false;
  }

  Span all_of(int region) const { return {region, 0, p_.regions[at(region)].size}; }
  Span part_of(int region, uint32_t unit, uint32_t most) {
    Span s = all_of(region);
    const uint32_t units = s.size / unit;
    if (random_.chance(30) && s.size <= most) return {region, 0, units * unit};
    const uint32_t n = random_.between(1, std::max(1u, std::min(units, most / unit)));
    s.offset = random_.between(0, units - n) * unit;
    s.size = n * unit;
    return s;
  }

  void draw_numbers(Op* op) {
    op->a = random_.word() | 1;  // what is folded twice is not what is folded once
    op->b = random_.word();
    op->c = random_.word();
  }

  bool draw_kernel(Op* op) {
    auto fits = [](Place p) { return kernels_reach(p); };
    int dst, src;
    if (!draw_region(fits, &dst)) return false;
    op->kind = random_.chance(50) ? Kind::fold : Kind::mix;
    op->dst = part_of(dst, 4, kMostWords * 4);
    if (op->kind == Kind::mix) {
      if (!draw_region(fits, &src) || src == dst) return false;
      op->src = part_of(src, 4, kMostWords * 4);
    }
    draw_numbers(op);
    if (random_.chance(60)) op->delay = random_.between(1, std::min(1u << 17, kMostSteps / (op->dst.size / 4)));
    return true;
  }

  bool draw_fill(Op* op) {
    int dst;
    if (!draw_region([](Place p) { return kernels_reach(p); }, &dst)) return false;
    op->kind = Kind::fill;
    op->b = 1u << random_.below(3);
    op->dst = part_of(dst, op->b, 8 << 20);
    op->a = random_.word();
    op->waits = !in_graph_ && random_.chance(20);
    if (op->waits) op->stream = 0;
    return true;
  }

  bool draw_copy(Op* op, bool rows) {
    const uint32_t which = random_.below(5);  // twice as many to and from the device as within
    int dst, src;
    auto device = [](Place p) { return !is_host(p); };
    auto host = [](Place p) { return is_host(p); };
    if (!(which < 2 ? draw_region(host, &src) : draw_region(device, &src))) return false;
    if (!(which == 2 || which == 3 ? draw_region(host, &dst) : draw_region(device, &dst))) return false;
    if (src == dst) return false;
    const uint32_t most = std::min(p_.regions[at(src)].size, p_.regions[at(dst)].size);
    if (most < 1024 && random_.chance(50)) return false;  // the smaller one decides: too often that is tiny
    op->kind = Kind::copy;
    op->waits = !in_graph_ && random_.chance(30);
    if (op->waits) op->stream = 0;
    op->form = random_.below(4);
    if (rows && most >= 8) {
      op->kind = Kind::copy_2d;
      op->height = random_.between(1, std::min(most / 4, 60u));
      const uint32_t pitch = most / op->height;
      op->width = random_.between(1, pitch);
      op->dst_pitch = random_.between(op->width, pitch);
      op->src_pitch = random_.between(op->width, pitch);
      auto rows_of = [&](int region, uint32_t p) {
        const uint32_t size = (op->height - 1) * p + op->width;
        return Span{region, random_.between(0, p_.regions[at(region)].size - size), size};
      };
      op->dst = rows_of(dst, op->dst_pitch);
      op->src = rows_of(src, op->src_pitch);
      return true;
    }
    const uint32_t size = random_.chance(40) ? most : random_.between(1, most);
    op->dst = {dst, random_.between(0, p_.regions[at(dst)].size - size), size};
    op->src = {src, random_.between(0, p_.regions[at(src)].size - size), size};
    return true;
  }

  bool draw_host_fold(Op* op, Kind kind) {
    if (kind == Kind::host_function && is_out("host-functions")) return false;
    auto host = [](Place p) { return is_host(p); };
    int dst, src;
    if (!draw_region(host, &dst)) return false;
    const bool by_host_function = kind == Kind::host_function && p_.regions[at(dst)].place == Place::pageable;
    if (by_host_function && graphs_read_pageable_) return false;
    op->kind = kind;
    op->dst = part_of(dst, 1, kMostHostFold);
    if (kind == Kind::host_function && random_.chance(50) && draw_region(host, &src) && src != dst) {
      op->src = part_of(src, 1, kMostHostFold);
    }
    draw_numbers(op);
    op->form = in_graph_ ? 0 : random_.below(3);
    return true;
  }

  // A graph's nodes in order; those with object 1 are in a branch beside the others, which touch nothing of it.
  bool draw_nodes(Op* op) {
    in_graph_ = true;
    struct Leave {
      bool& flag;
      ~Leave() { flag = false; }
    } leave{in_graph_};
    std::vector<int> used[2], written[2];
    std::vector<Span> copied_to;  // host memory that copies of this graph wrote (docs/decisions/0008)
    const uint32_t count = random_.between(1, 7);
    const bool forked = random_.chance(40);
    auto has = [](const std::vector<int>& all, int r) { return std::find(all.begin(), all.end(), r) != all.end(); };
    for (uint32_t i = 0; i < count * 3 && op->nodes.size() < count; i++) {
      Op node;
      const uint32_t which = random_.below(10);
      node.id = -1;
      node.stream = op->stream;
      node.thread = op->thread;
      if (!(which < 5   ? draw_kernel(&node)
            : which < 6 ? draw_fill(&node)
            : which < 9 ? draw_copy(&node, which == 8)
                        : draw_host_fold(&node, Kind::host_function)))
        continue;
      const bool copies = node.kind == Kind::copy || node.kind == Kind::copy_2d;
      if (copies && std::any_of(copied_to.begin(), copied_to.end(), [&](const Span& s) {
            const bool same = s.offset == node.dst.offset && s.size == node.dst.size && node.kind == Kind::copy;
            return s.region == node.src.region || (s.region == node.dst.region && !same);
          })) {
        continue;
      }
      auto is_pageable = [this](const Span& s) { return p_.regions[at(s.region)].place == Place::pageable; };
      if (copies && is_pageable(graphs_read_pageable_ ? node.dst : node.src)) continue;
      const int branch = forked && random_.chance(40);
      if (has(used[1 - branch], node.dst.region)) continue;
      if (node.src.region >= 0 && has(written[1 - branch], node.src.region)) continue;
      used[branch].push_back(node.dst.region);
      written[branch].push_back(node.dst.region);
      if (node.src.region >= 0) used[branch].push_back(node.src.region);
      if (copies && is_host(p_.region(node.dst).place)) copied_to.push_back(node.dst);
      node.object = branch;
      op->nodes.push_back(node);
    }
    return !op->nodes.empty();
  }

  bool draw(int thread, Op* op) {
    op->thread = thread;
    op->stream = draw_stream(thread);
    if (follow_ >= 0 && random_.chance(60)) {
      // The program may use pageable memory again as soon as a copy from it has returned.
      op->thread = p_.ops[at(follow_)].thread;
      op->kind = Kind::host_write;
      op->stream = -1;
      op->dst = p_.ops[at(follow_)].src;
      op->dst.size = std::min(op->dst.size, kMostHostFold);
      draw_numbers(op);
      follow_ = -1;
      return true;
    }
    follow_ = -1;
    const uint32_t which = random_.below(100);
    if (which < 26) return draw_kernel(op);
    if (which < 31) return draw_fill(op);
    if (which < 57) return draw_copy(op, false);
    if (which < 62) return draw_copy(op, true);
    if (which < 69) return draw_host_fold(op, Kind::host_function);
    if (which < 74) {
      op->stream = -1;
      return draw_host_fold(op, Kind::host_write);
    }
    if (which < 81) {
      op->kind = Kind::host_check;
      op->stream = -1;
      int r;
      if (!draw_region([](Place p) { return is_host(p); }, &r)) return false;
      op->src = all_of(r);
      return true;
    }
    if (which < 85) return draw_pooled(op);
    if (which < 94) return draw_graph(op);
    return draw_wait(op);
  }

  bool draw_pooled(Op* op) {
    if (is_out("pooled")) return false;
    std::vector<int> pooled;
    for (size_t r = 0; r < p_.regions.size(); r++) {
      if (p_.regions[r].place == Place::pooled) pooled.push_back(static_cast<int>(r));
    }
    const int r = random_.of(pooled);
    op->dst = all_of(r);
    op->kind = live_[at(r)] ? Kind::release : Kind::allocate;
    if (op->kind == Kind::release && random_.chance(50)) return false;  // it is more use alive
    op->a = random_.below(256);
    op->b = 1;
    return true;
  }

  bool draw_graph(Op* op) {
    if (is_out("graphs")) return false;
    op->object = static_cast<int>(random_.below(static_cast<uint32_t>(p_.graphs)));
    if (graphs_[at(op->object)].empty() || random_.chance(12)) {
      op->kind = Kind::capture;
      op->stream = usable_ + 2 * op->thread;
      op->form = random_.below(2);
      return draw_nodes(op);
    }
    op->kind = Kind::launch_graph;
    op->target = captured_[at(op->object)];
    op->nodes = graphs_[at(op->object)];
    return true;
  }

  bool draw_wait(Op* op) {
    const uint32_t which = random_.below(8);
    op->object = static_cast<int>(random_.below(static_cast<uint32_t>(p_.events)));
    static const Kind kinds[] = {Kind::record,     Kind::record,      Kind::wait_event,  Kind::sync_event,
                                 Kind::poll_event, Kind::sync_stream, Kind::poll_stream, Kind::sync_context};
    op->kind = kinds[which];
    if (which >= 5) op->object = -1;
    if (op->kind != Kind::record && op->kind != Kind::wait_event && op->kind != Kind::sync_stream &&
        op->kind != Kind::poll_stream) {
      op->stream = -1;
    }
    op->form = random_.below(2);
    return true;
  }

  // Order.

  void emit(Op op) {
    op.id = static_cast<int>(p_.ops.size());
    p_.ops.push_back(op);
    clocks().add(p_.ops.back());
    if (op.kind == Kind::allocate) live_[at(op.dst.region)] = true;
    if (op.kind == Kind::release) live_[at(op.dst.region)] = false;
    if (op.kind == Kind::capture) {
      graphs_[at(op.object)] = op.nodes;
      captured_[at(op.object)] = op.id;
    }
    if (op.kind == Kind::copy && p_.region(op.src).place == Place::pageable) follow_ = op.id;
  }

  void emit_simple(Kind kind, int thread, int stream, int object, int target = -1) {
    Op op;
    op.kind = kind;
    op.thread = thread;
    op.stream = stream;
    op.object = object;
    op.target = target;
    op.form = random_.below(2);
    emit(op);
  }

  // An event that the thread may record anew; -1: none.
  int free_event(int thread) {
    for (int i = 0; i < 8; i++) {
      Op op;
      op.kind = Kind::record;
      op.thread = thread;
      op.stream = 0;
      op.object = static_cast<int>(random_.below(static_cast<uint32_t>(p_.events)));
      if (clocks().missing(op).empty()) return op.object;
    }
    return -1;
  }

  void wait_for_event(int thread, int stream, int event, bool in_call) {
    if (!in_call && random_.chance(75))
      emit_simple(Kind::wait_event, thread, stream, event);
    else
      emit_simple(random_.chance(60) ? Kind::sync_event : Kind::poll_event, thread, -1, event);
  }

  // Makes known what the operation needs; each time in another of the ways that there are.
  bool put_in_order(const Op& op) {
    for (int tries = 0; tries < 12; tries++) {
      auto missing = clocks().missing(op);
      if (missing.empty()) return true;
      if (tries == 0 && random_.chance(45)) return false;  // rather something that can go on at once
      const auto& m = random_.of(missing);
      const int u = clocks().thread_of(m.component);
      const int post = clocks().operation(m.component, m.count);
      const bool known = clocks().knows_call(op.thread, post);
      if (!clocks().is_lane(m.component)) {
        emit_simple(Kind::wait_thread, op.thread, -1, -1, post);
        continue;
      }
      const int s = clocks().stream_of(m.component);
      const bool own = p_.streams[at(s)].kind == StreamSpec::per_thread && p_.streams[at(s)].owner != op.thread;
      if (!known) {
        // The other thread records an event and tells of it, or only tells.
        int event = random_.chance(50) ? free_event(u) : -1;
        if (event >= 0) {
          emit_simple(Kind::record, u, s, event);
          emit_simple(Kind::wait_thread, op.thread, -1, -1, static_cast<int>(p_.ops.size()) - 1);
          wait_for_event(op.thread, op.stream, event, m.in_call);
        } else {
          emit_simple(Kind::wait_thread, op.thread, -1, -1, post);
        }
        continue;
      }
      int event = own ? -1 : free_event(op.thread);
      if (event >= 0 && random_.chance(m.in_call ? 40 : 80)) {
        emit_simple(Kind::record, op.thread, s, event);
        wait_for_event(op.thread, op.stream, event, m.in_call);
      } else if (own || random_.chance(15)) {
        emit_simple(Kind::sync_context, op.thread, -1, -1);
      } else {
        emit_simple(random_.chance(70) ? Kind::sync_stream : Kind::poll_stream, op.thread, s, -1);
      }
    }
    return false;
  }

  bool is_out(const std::string& name) const { return without_.find("," + name + ",") != std::string::npos; }

  Random random_;
  const int operations_;
  const std::string without_;
  Program p_;
  std::vector<Clocks> clocks_;  // one: made when the program is laid out
  int usable_ = 0;              // streams that operations are posted to
  std::vector<bool> live_;
  std::vector<std::vector<Op>> graphs_;
  std::vector<int> captured_;  // by which operation
  bool in_graph_ = false;
  // For a graph's copy from pageable memory a driver may read that before a host function or a graph that was to write
  // it has run (seen on an H200, in the same graph and in the stream before it): a program has one of the two.
  bool graphs_read_pageable_ = false;
  int follow_ = -1;  // the last operation, if it copied from pageable memory
};

}  // namespace

Program generate(uint64_t seed, int operations, const std::string& without) {
  return Generator(seed, operations, without).take();
}

}  // namespace order
