#include "order/program.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace order {
namespace {

int event_thing(const Program& p, int event) { return 2 * static_cast<int>(p.regions.size()) + event; }
int graph_thing(const Program& p, int graph) { return event_thing(p, p.events) + graph; }
int address_thing(const Program& p, int region) { return static_cast<int>(p.regions.size()) + region; }

const char* const kKinds[] = {"fold",          "mix",        "fill",        "copy",        "copy 2D",
                              "host function", "host write", "host check",  "record",      "wait event",
                              "sync event",    "poll event", "sync stream", "poll stream", "sync context",
                              "wait thread",   "allocate",   "release",     "capture",     "launch graph"};
const char* const kPlaces[] = {"device", "pooled", "pageable", "pinned", "registered", "mapped", "registered-mapped"};

}  // namespace

const char* place_name(Place place) { return kPlaces[static_cast<int>(place)]; }

bool is_posted(const Op& op) {
  switch (op.kind) {
    case Kind::host_write:
    case Kind::host_check:
    case Kind::sync_event:
    case Kind::poll_event:
    case Kind::sync_stream:
    case Kind::poll_stream:
    case Kind::sync_context:
    case Kind::wait_thread:
    case Kind::capture:
      return false;
    default:
      return true;
  }
}

bool is_work(const Op& op) { return is_posted(op) && op.kind != Kind::record && op.kind != Kind::wait_event; }

bool is_over_at_return(const Program& program, const Op& op) {
  if ((op.kind != Kind::copy && op.kind != Kind::copy_2d) || !op.waits) return false;
  Place src = program.region(op.src).place, dst = program.region(op.dst).place;
  // From pageable memory a call may return when the bytes are staged; within the device nobody waits.
  return is_host(dst) || (is_host(src) && src != Place::pageable);
}

std::vector<Access> accesses(const Program& p, const Op& op) {
  std::vector<Access> all;
  auto touch = [&](const Span& s, bool write, bool in_call, bool in_stream) {
    if (s.region < 0) return;
    all.push_back({s.region, write, in_call, in_stream});
    if (p.region(s).place == Place::pooled) all.push_back({address_thing(p, s.region), false, true, false});
  };
  switch (op.kind) {
    case Kind::fold:
    case Kind::mix:
    case Kind::fill:
    case Kind::host_function:
      touch(op.src, false, false, true);
      touch(op.dst, true, false, true);
      break;
    case Kind::copy:
    case Kind::copy_2d: {
      // Pageable memory is read before the call returns, and may be written any time until the copy is over.
      bool from = p.region(op.src).place == Place::pageable, to = p.region(op.dst).place == Place::pageable;
      touch(op.src, false, from, !from);
      touch(op.dst, true, to, true);
      break;
    }
    case Kind::host_write:
      touch(op.dst, true, true, false);
      break;
    case Kind::host_check:
      touch(op.src, false, true, false);
      break;
    case Kind::record:
      all.push_back({event_thing(p, op.object), true, true, false});
      break;
    case Kind::wait_event:
    case Kind::sync_event:
    case Kind::poll_event:
      all.push_back({event_thing(p, op.object), false, true, false});
      break;
    case Kind::allocate:
      all.push_back({op.dst.region, true, false, true});
      all.push_back({address_thing(p, op.dst.region), true, true, false});
      break;
    case Kind::release:
      all.push_back({op.dst.region, true, false, true});
      all.push_back({address_thing(p, op.dst.region), true, true, false});
      break;
    case Kind::capture:
      all.push_back({graph_thing(p, op.object), true, true, false});
      break;
    case Kind::launch_graph:
      all.push_back({graph_thing(p, op.object), true, true, false});
      for (const Op& node : op.nodes) {  // a graph reads and writes host memory when it executes
        if (node.src.region >= 0) all.push_back({node.src.region, false, false, true});
        if (node.dst.region >= 0) all.push_back({node.dst.region, true, false, true});
      }
      break;
    default:
      break;
  }
  return all;
}

std::string describe(const Program& p, const Op& op) {
  char text[512];
  auto span = [&](const Span& s) {
    if (s.region < 0) return std::string("-");
    snprintf(text, sizeof text, "region %d (%s) [%u, +%u]", s.region, place_name(p.region(s).place), s.offset, s.size);
    return std::string(text);
  };
  snprintf(text, sizeof text, "%5d  thread %d  %-13s", op.id, op.thread, kKinds[static_cast<int>(op.kind)]);
  std::string line = text;
  if (op.stream >= 0) {
    static const char* const kinds[] = {"legacy", "per-thread", "blocking", "non-blocking", "capturing"};
    snprintf(text, sizeof text, "  stream %d (%s)", op.stream, kinds[p.streams[static_cast<size_t>(op.stream)].kind]);
    line += text;
  }
  if (op.dst.region >= 0) line += "  to " + span(op.dst);
  if (op.src.region >= 0) line += "  from " + span(op.src);
  if (op.kind == Kind::copy_2d) {
    snprintf(text, sizeof text, "  %u x %u, pitches %u, %u", op.width, op.height, op.dst_pitch, op.src_pitch);
    line += text;
  }
  if (op.waits) line += "  waiting form";
  if (op.delay) line += "  delay " + std::to_string(op.delay);
  if (op.object >= 0) line += "  object " + std::to_string(op.object);
  if (op.kind == Kind::launch_graph)
    line += "  of operation " + std::to_string(op.target);
  else if (op.target >= 0)
    line += "  for operation " + std::to_string(op.target);
  if (op.kind == Kind::launch_graph) return line;
  for (const Op& node : op.nodes) line += "\n           " + describe(p, node);
  return line;
}

std::string write_list(const std::vector<int>& ids) {
  std::string text;
  for (size_t i = 0; i < ids.size();) {
    size_t j = i;
    while (j + 1 < ids.size() && ids[j + 1] == ids[j] + 1) j++;
    if (!text.empty()) text += ',';
    text += std::to_string(ids[i]);
    if (j > i) text += '-' + std::to_string(ids[j]);
    i = j + 1;
  }
  return text;
}

bool read_list(const std::string& text, std::vector<int>* ids) {
  const char* at = text.c_str();
  while (*at) {
    char* end;
    long first = strtol(at, &end, 10), last = first;
    if (end == at) return false;
    at = end;
    if (*at == '-') {
      last = strtol(at + 1, &end, 10);
      if (end == at + 1) return false;
      at = end;
    }
    if (first < 0 || last < first || last > 10'000'000) return false;
    for (long i = first; i <= last; i++) ids->push_back(static_cast<int>(i));
    if (*at == ',')
      at++;
    else if (*at)
      return false;
  }
  return true;
}

Program keep_only(const Program& program, const std::vector<int>& ids) {
  Program out = program;
  out.ops.clear();
  std::vector<int> last(static_cast<size_t>(program.threads), -1);
  std::vector<bool> kept(program.ops.size());
  for (int id : ids) {
    if (static_cast<size_t>(id) < kept.size()) kept[static_cast<size_t>(id)] = true;
  }
  std::vector<int> before(program.ops.size(), -1);  // per operation: the last one kept of its thread, up to itself
  for (size_t i = 0; i < program.ops.size(); i++) {
    const Op& op = program.ops[i];
    auto& mine = last[static_cast<size_t>(op.thread)];
    if (kept[i]) {
      mine = op.id;
      out.ops.push_back(op);
      if (op.kind == Kind::wait_thread) {
        int target = before[static_cast<size_t>(op.target)];
        if (target < 0)
          out.ops.pop_back();
        else
          out.ops.back().target = target;
      }
    }
    before[i] = mine;
  }
  return out;
}

}  // namespace order
