// What threads do together: barriers, shuffles, votes, fences.
#include <optional>

#include "softgpu/ptx/lower.h"
#include "softgpu/ptx/ops_warp.h"

namespace nm::softgpu::ptx {
namespace {

using Kindly = ast::Operand::Kind;

Inst& emit_collective(Lowering& low, Handler deposit, Handler finish, const Inst& in) {
  Inst& out = low.emit(deposit);
  out.inner = finish;
  out.kind = Kind::collective;
  for (int i = 0; i < 8; ++i) out.r[i] = in.r[i];
  out.mode = in.mode;
  out.flags = in.flags;
  return out;
}

bool block_barrier(Lowering& low, Words& w) {
  w.take("cta");
  w.take("aligned");
  Inst in;
  size_t at = 0;
  BarrierOp op = BarrierOp::sync;
  if (w.take("arrive")) {
    op = BarrierOp::arrive;
    if (!low.arity(w, 2, 2)) return false;
  } else if (w.take("red")) {
    op = w.take("popc") ? BarrierOp::red_popc : w.take("and") ? BarrierOp::red_and : BarrierOp::red_or;
    if (op == BarrierOp::red_or) w.take("or");
    const Type type = w.take_type();
    if (!low.arity(w, 3, 4)) return false;
    in.r[0] = op == BarrierOp::red_popc ? low.destination(w[0], type) : low.predicate_destination(w[0]);
    bool negated = false;
    in.r[3] = low.predicate(w[w.size() - 1], negated);
    in.flags = negated ? 1 : 0;
    if (in.r[0] == kNoRef || in.r[3] == kNoRef) return false;
    at = 1;
  } else {
    if (!w.take("sync") || !low.arity(w, 1, 2)) return low.fail("no barrier operation");
  }
  in.r[1] = low.source(w[at], Type::u32);
  if (in.r[1] == kNoRef) return false;
  const size_t count_at = at + 1, end = w.size() - (at == 1 ? 1 : 0);
  if (count_at < end) {
    in.r[2] = low.source(w[count_at], Type::u32);
    if (in.r[2] == kNoRef) return false;
  }
  Inst& out = low.emit(nullptr);
  out.kind = Kind::barrier;
  for (int i = 0; i < 4; ++i) out.r[i] = in.r[i];
  out.imm = static_cast<uint64_t>(op);
  out.flags = in.flags;
  return true;
}

bool cluster_barrier(Lowering& low, Words& w) {
  for (std::string_view word : {"aligned", "release", "relaxed", "acquire"}) w.take(word);
  const bool arrive = w.take("arrive");
  if (!arrive && !w.take("wait")) return low.fail("no barrier operation");
  low.emit(nullptr).kind = arrive ? Kind::cluster_arrive : Kind::cluster_wait;
  return low.arity(w, 0, 0);
}

bool barrier(Lowering& low, Words& w) {
  if (w.take("warp")) {
    if (!w.take("sync") || !low.arity(w, 1, 1)) return low.fail("no barrier operation");
    Inst in;
    in.r[5] = low.source(w[0], Type::b32);
    if (in.r[5] == kNoRef) return false;
    emit_collective(low, deposit_none, finish_none, in);
    return true;
  }
  if (w.take("cluster")) return cluster_barrier(low, w);
  return block_barrier(low, w);
}

bool shuffle(Lowering& low, Words& w) {
  const bool sync = w.take("sync");
  Inst in;
  if (w.take("up"))
    in.mode = static_cast<uint8_t>(Shuffle::up);
  else if (w.take("down"))
    in.mode = static_cast<uint8_t>(Shuffle::down);
  else if (w.take("bfly"))
    in.mode = static_cast<uint8_t>(Shuffle::bfly);
  else if (w.take("idx"))
    in.mode = static_cast<uint8_t>(Shuffle::idx);
  else
    return low.fail("no shuffle mode");
  if (w.take_type() != Type::b32) return low.fail("only .b32 is possible");
  if (!low.arity(w, sync ? 5 : 4, sync ? 5 : 4)) return false;
  const ast::Operand& to = w[0];
  if (to.kind == Kindly::pair) {
    in.r[1] = low.predicate_destination(to.items[1]);
    in.r[0] = low.destination(to.items[0], Type::b32);
  } else {
    in.r[0] = low.destination(to, Type::b32);
  }
  in.r[2] = low.source(w[1], Type::b32);
  in.r[3] = low.source(w[2], Type::b32);
  in.r[4] = low.source(w[3], Type::b32);
  if (sync) in.r[5] = low.source(w[4], Type::b32);
  if (in.r[0] == kNoRef || in.r[2] == kNoRef || in.r[3] == kNoRef || in.r[4] == kNoRef || (sync && in.r[5] == kNoRef))
    return false;
  emit_collective(low, deposit_u32, finish_shuffle, in);
  return true;
}

bool vote(Lowering& low, Words& w) {
  const bool sync = w.take("sync");
  Inst in;
  if (w.take("all"))
    in.mode = static_cast<uint8_t>(Vote::all);
  else if (w.take("any"))
    in.mode = static_cast<uint8_t>(Vote::any);
  else if (w.take("uni"))
    in.mode = static_cast<uint8_t>(Vote::uni);
  else if (w.take("ballot"))
    in.mode = static_cast<uint8_t>(Vote::ballot);
  else
    return low.fail("no vote mode");
  w.take_type();
  if (!low.arity(w, sync ? 3 : 2, sync ? 3 : 2)) return false;
  bool negated = false;
  in.r[0] = in.mode == static_cast<uint8_t>(Vote::ballot) ? low.destination(w[0], Type::b32)
                                                          : low.predicate_destination(w[0]);
  in.r[2] = low.predicate(w[1], negated);
  in.flags = negated ? 1 : 0;
  if (sync) in.r[5] = low.source(w[2], Type::b32);
  if (in.r[0] == kNoRef || in.r[2] == kNoRef || (sync && in.r[5] == kNoRef)) return false;
  emit_collective(low, deposit_predicate, finish_vote, in);
  return true;
}

bool match(Lowering& low, Words& w) {
  const bool any = w.take("any");
  if (!any && !w.take("all")) return low.fail(".any or .all is wanted");
  w.take("sync");
  const Type type = w.take_type();
  if ((type != Type::b32 && type != Type::b64) || !low.arity(w, 3, 3)) return low.fail(".b32 or .b64 is wanted");
  Inst in;
  if (w[0].kind == Kindly::pair) {
    in.r[0] = low.destination_or_sink(w[0].items[0], Type::b32);
    in.r[1] = low.predicate_destination(w[0].items[1]);
  } else {
    in.r[0] = low.destination(w[0], Type::b32);
    if (in.r[0] == kNoRef) return false;
  }
  in.r[2] = low.source(w[1], type);
  in.r[5] = low.source(w[2], Type::b32);
  if (in.r[2] == kNoRef || in.r[5] == kNoRef) return false;
  emit_collective(low, type == Type::b64 ? deposit_u64 : deposit_u32, any ? finish_match_any : finish_match_all, in);
  return true;
}

bool reduce(Lowering& low, Words& w) {
  w.take("sync");
  struct Named {
    std::string_view name;
    Redux op;
  };
  constexpr Named kOps[] = {{"add", Redux::add},  {"min", Redux::min}, {"max", Redux::max},
                            {"and", Redux::and_}, {"or", Redux::or_},  {"xor", Redux::xor_}};
  std::optional<Redux> op;
  for (const Named& named : kOps) {
    if (!op && w.take(named.name)) op = named.op;
  }
  const Type type = w.take_type();
  if (!op || (type != Type::u32 && type != Type::s32 && type != Type::b32))
    return low.fail("this form is not supported");
  if (!low.arity(w, 3, 3)) return false;
  Inst in;
  in.mode = static_cast<uint8_t>(*op);
  in.r[0] = low.destination(w[0], type);
  in.r[2] = low.source(w[1], type);
  in.r[5] = low.source(w[2], Type::b32);
  if (in.r[0] == kNoRef || in.r[2] == kNoRef || in.r[5] == kNoRef) return false;
  emit_collective(low, deposit_u32, type == Type::s32 ? finish_redux_s32 : finish_redux_u32, in);
  return true;
}

bool elect(Lowering& low, Words& w) {
  w.take("sync");
  if (!low.arity(w, 2, 2)) return false;
  Inst in;
  if (w[0].kind != Kindly::pair) return low.fail("d|p is wanted");
  in.r[0] = low.destination_or_sink(w[0].items[0], Type::b32);
  in.r[1] = low.predicate_destination(w[0].items[1]);
  in.r[5] = low.source(w[1], Type::b32);
  if (in.r[5] == kNoRef) return false;
  emit_collective(low, deposit_none, finish_elect, in);
  return true;
}

bool fence(Lowering& low, Words& w) {
  for (std::string_view word :
       {"sc", "acq_rel", "acquire", "release", "cta", "gpu", "gl", "sys", "cluster", "mbarrier_init",
        "sync_restrict::shared::cta", "sync_restrict::shared::cluster", "proxy", "alias", "async", "async::generic",
        "global", "shared::cta", "shared::cluster"}) {
    w.take(word);
  }
  low.emit(memory_fence);
  return low.arity(w, 0, 0);
}

bool nothing(Lowering&, Words& w) {
  while (!w.left().empty()) w.take(w.left());
  return true;
}

}  // namespace

bool lower_warp(Lowering& low, Words& w, bool& known) {
  const std::string_view op = w.in().op;
  known = true;
  if (op == "bar" || op == "barrier") return barrier(low, w);
  if (op == "shfl") return shuffle(low, w);
  if (op == "vote") return vote(low, w);
  if (op == "match") return match(low, w);
  if (op == "redux") return reduce(low, w);
  if (op == "elect") return elect(low, w);
  if (op == "membar" || op == "fence") return fence(low, w);
  if (op == "activemask") {
    w.take_type();
    if (!low.arity(w, 1, 1)) return false;
    const Ref d = low.destination(w[0], Type::b32);
    if (d == kNoRef) return false;
    low.emit(active_mask).r[0] = d;
    return true;
  }
  if (op == "nanosleep") {
    w.take_type();
    low.emit(nullptr).kind = Kind::yield;
    return low.arity(w, 1, 1);
  }
  // Hints to the scheduler and the profiler.
  if (op == "griddepcontrol" || op == "setmaxnreg" || op == "pmevent") return nothing(low, w);
  known = false;
  return false;
}

}  // namespace nm::softgpu::ptx
