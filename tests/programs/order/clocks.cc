#include "order/clocks.h"

#include <algorithm>

namespace order {
namespace {

void join(Clock* to, const Clock& from) {
  for (size_t i = 0; i < to->size(); i++) (*to)[i] = std::max((*to)[i], from[i]);
}

size_t at(int i) { return static_cast<size_t>(i); }

}  // namespace

Clocks::Clocks(const Program& program)
    : program_(program),
      threads_(program.threads),
      streams_(static_cast<int>(program.streams.size())),
      size_(threads_ + threads_ * streams_),
      known_(at(threads_), Clock(at(size_))),
      lanes_(at(threads_ * streams_)),
      calls_(at(threads_)),
      things_(at(things(program)), Thing{Clock(at(size_)), -1, 0}),
      events_(at(program.events), Clock(at(size_))) {}

int Clocks::operation(int component, uint32_t count) const {
  return is_lane(component) ? lanes_[at(component - threads_)][count - 1].id : calls_[at(component)][count - 1];
}

bool Clocks::knows_call(int thread, int operation) const {
  const int other = program_.ops[at(operation)].thread;
  return known_[at(thread)][at(other)] >= static_cast<uint32_t>(thread_at_[at(operation)]);
}

void Clocks::join_stream(int stream, int thread, bool work_only, Clock* clock) const {
  for (int u = 0; u < threads_; u++) {
    const auto& lane = lanes_[at(stream * threads_ + u)];
    const uint32_t known = known_[at(thread)][at(u)];
    for (auto it = lane.rbegin(); it != lane.rend(); ++it) {
      if (it->call > known || (work_only && !it->work)) continue;
      join(clock, it->over);
      break;
    }
  }
}

Clock Clocks::start_of(const Op& op) const {
  Clock clock = known_[at(op.thread)];
  join_stream(op.stream, op.thread, false, &clock);
  if (!is_work(op)) return clock;
  const StreamSpec& stream = program_.streams[at(op.stream)];
  if (stream.kind == StreamSpec::legacy) {
    for (int s = 0; s < streams_; s++) {
      auto kind = program_.streams[at(s)].kind;
      if (kind == StreamSpec::blocking || kind == StreamSpec::per_thread) join_stream(s, op.thread, true, &clock);
    }
  } else if (stream.kind != StreamSpec::non_blocking) {
    join_stream(0, op.thread, true, &clock);
  }
  return clock;
}

std::vector<Clocks::Missing> Clocks::missing(const Op& op) const {
  std::vector<Missing> all;
  const Clock& known = known_[at(op.thread)];
  Clock start = is_posted(op) ? start_of(op) : known;
  for (const Access& access : accesses(program_, op)) {
    const Thing& thing = things_[at(access.thing)];
    const Clock& have = access.in_call ? known : start;
    if (access.write) {
      for (int c = 0; c < size_; c++) {
        if (thing.used[at(c)] > have[at(c)]) all.push_back({c, thing.used[at(c)], access.in_call});
      }
    } else if (thing.written_by >= 0 && thing.written_at > have[at(thing.written_by)]) {
      all.push_back({thing.written_by, thing.written_at, access.in_call});
    }
  }
  return all;
}

void Clocks::touch(const Access& access, int component, uint32_t count) {
  Thing& thing = things_[at(access.thing)];
  if (access.write) {
    thing.used.assign(at(size_), 0);
    thing.written_by = component;
    thing.written_at = count;
  }
  thing.used[at(component)] = count;
}

void Clocks::add(const Op& op) {
  Clock& known = known_[at(op.thread)];
  const uint32_t call = known[at(op.thread)] + 1;
  Clock over;
  int component = op.thread;
  uint32_t count = call;
  if (is_posted(op)) {
    over = start_of(op);
    if (op.kind == Kind::wait_event) join(&over, events_[at(op.object)]);
    component = lane(op.stream, op.thread);
    auto& posted = lanes_[at(component - threads_)];
    count = static_cast<uint32_t>(posted.size()) + 1;
    over[at(component)] = count;
    over[at(op.thread)] = call;
    posted.push_back({call, op.id, is_work(op), over});
  }
  for (const Access& access : accesses(program_, op)) {
    // A writer in the stream hides the call, which was over before.
    if (access.in_stream)
      touch(access, component, count);
    else
      touch(access, op.thread, call);
  }
  switch (op.kind) {
    case Kind::record:
      events_[at(op.object)] = over;
      break;
    case Kind::sync_event:
    case Kind::poll_event:
      join(&known, events_[at(op.object)]);
      break;
    case Kind::sync_stream:
    case Kind::poll_stream:
      join_stream(op.stream, op.thread, false, &known);
      break;
    case Kind::sync_context: {
      Clock all = known;
      for (int s = 0; s < streams_; s++) join_stream(s, op.thread, false, &all);
      known = all;
      break;
    }
    case Kind::wait_thread:
      join(&known, known_after_[at(op.target)]);
      break;
    default:
      if (is_over_at_return(program_, op)) join(&known, over);
  }
  known[at(op.thread)] = call;
  calls_[at(op.thread)].push_back(op.id);
  if (known_after_.size() <= at(op.id)) {
    known_after_.resize(at(op.id) + 1);
    thread_at_.resize(at(op.id) + 1, 0);
  }
  known_after_[at(op.id)] = known;
  thread_at_[at(op.id)] = static_cast<int>(call);
}

std::string verify(const Program& program) {
  Clocks clocks(program);
  std::vector<bool> live(program.regions.size());
  std::vector<int> captured(at(program.graphs), -1);
  auto usable = [&](const Span& s) {
    return s.region < 0 || program.region(s).place != Place::pooled || live[at(s.region)];
  };
  for (const Op& op : program.ops) {
    const std::string name = "operation " + std::to_string(op.id);
    if (op.kind == Kind::allocate) {
      if (live[at(op.dst.region)]) return name + " allocates what is there.";
      live[at(op.dst.region)] = true;
    }
    if (!usable(op.dst) || !usable(op.src)) return name + " uses memory that is not there.";
    if (op.kind == Kind::release) live[at(op.dst.region)] = false;
    if (op.kind == Kind::capture) captured[at(op.object)] = op.id;
    if (op.kind == Kind::launch_graph && captured[at(op.object)] != op.target) return name + " launches another graph.";
    if (op.kind == Kind::wait_thread && op.target >= op.id) return name + " waits for what comes later.";
    auto missing = clocks.missing(op);
    if (!missing.empty()) {
      return name + " is not ordered behind operation " +
             std::to_string(clocks.operation(missing[0].component, missing[0].count)) + ".";
    }
    clocks.add(op);
  }
  return "";
}

}  // namespace order
