// mbarrier, cp.async.mbarrier and cp.async.bulk.
#include "softgpu/ptx/lower.h"
#include "softgpu/ptx/ops_mbarrier.h"
#include "softgpu/ptx/ops_space.h"

namespace nm::softgpu::ptx {
namespace {

using Kindly = ast::Operand::Kind;

void take_words(Words& w, Inst& in) {
  for (std::string_view word : {"release", "acquire", "relaxed", "cta", "cluster", "noComplete"}) w.take(word);
  if (w.take("shared") || w.take("shared::cta") || w.take("shared::cluster")) in.space = Space::shared;
  w.take("b64");
}

bool emit_mbarrier(Lowering& low, const Inst& in) {
  Inst& out = low.emit(mbarrier);
  out.mode = in.mode;
  out.space = in.space;
  out.width = in.width;
  out.imm = in.imm;
  for (int i = 0; i < 8; ++i) out.r[i] = in.r[i];
  return true;
}

bool arrive(Lowering& low, Words& w, MBarrierOp op) {
  Inst in;
  if (w.take("expect_tx")) op = MBarrierOp::arrive_expect;
  take_words(w, in);
  in.mode = static_cast<uint8_t>(op);
  // The token may be left out for barriers of other blocks.
  const size_t at = w.size() > 0 && w[0].kind == Kindly::address ? 0 : 1;
  if (!low.arity(w, at + 1, at + 2)) return false;
  if (at == 1 && w[0].kind != Kindly::sink) {
    in.r[0] = low.destination(w[0], Type::b64);
    if (in.r[0] == kNoRef) return false;
  }
  if (w.size() > at + 1) {
    in.r[1] = low.source(w[at + 1], Type::u32);
    if (in.r[1] == kNoRef) return false;
  }
  return low.address(w[at], in, 8, true) && emit_mbarrier(low, in);
}

bool wait(Lowering& low, Words& w) {
  Inst in;
  const bool parity = w.take("parity");
  take_words(w, in);
  in.mode = static_cast<uint8_t>(parity ? MBarrierOp::wait_parity : MBarrierOp::wait_token);
  if (!low.arity(w, 3, 4)) return false;  // the fourth is how long to wait
  in.r[0] = low.predicate_destination(w[0]);
  in.r[1] = low.source(w[2], parity ? Type::u32 : Type::b64);
  if (in.r[0] == kNoRef || in.r[1] == kNoRef) return false;
  return low.address(w[1], in, 8, true) && emit_mbarrier(low, in);
}

bool simple(Lowering& low, Words& w, MBarrierOp op, bool number) {
  Inst in;
  take_words(w, in);
  in.mode = static_cast<uint8_t>(op);
  if (!low.arity(w, number ? 2 : 1, number ? 2 : 1)) return false;
  if (number) {
    in.r[1] = low.source(w[1], Type::u32);
    if (in.r[1] == kNoRef) return false;
  }
  return low.address(w[0], in, 8, true) && emit_mbarrier(low, in);
}

}  // namespace

bool lower_copy_arrival(Lowering& low, Words& w) {
  if (!w.take("arrive")) return low.fail("only .arrive is supported");
  const bool counts = w.take("noinc");
  Inst in;
  take_words(w, in);
  in.mode = static_cast<uint8_t>(MBarrierOp::arrive);
  if (!low.arity(w, 1, 1) || !low.address(w[0], in, 8, true)) return false;
  // The copies are done already. Without .noinc the arrival is balanced by an increment: nothing changes.
  return !counts || emit_mbarrier(low, in);
}

// cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [dst], [src], size, [mbar];
// cp.async.bulk.global.shared::cta.bulk_group [dst], [src], size;  done at once, so that groups are never pending.
bool lower_bulk_copy(Lowering& low, Words& w) {
  if (w.take("commit_group")) return low.arity(w, 0, 0);
  if (w.take("wait_group")) {
    w.take("read");
    return low.arity(w, 1, 1);
  }
  if (w.take("prefetch")) {
    w.take("L2");
    w.take("global");
    w.take("L2::cache_hint");
    return low.arity(w, 2, 3);
  }
  const std::vector<std::string_view>& mods = w.in().mods;  // async, bulk, target, source, how it ends
  if (mods.size() < 5 || w.has("tensor") || w.has("multicast::cluster") || w.has("cp_mask"))
    return low.fail("this form is not supported");
  const bool to_shared = mods[2] == "shared::cluster" || mods[2] == "shared::cta";
  const bool from_shared = mods[3] == "shared::cta";
  if ((!to_shared && mods[2] != "global") || (!from_shared && mods[3] != "global") || (!to_shared && !from_shared))
    return low.fail("no copy between these state spaces");
  w.take(mods[2]);
  w.take(mods[3]);
  w.take("L2::cache_hint");
  const bool by_barrier = w.take("mbarrier::complete_tx::bytes");
  if (by_barrier != to_shared || (!by_barrier && !w.take("bulk_group"))) return low.fail("no way to see its end");
  if (!low.arity(w, by_barrier ? 4 : 3, by_barrier ? 5 : 4)) return false;
  Inst to, from;
  if (to_shared) to.space = Space::shared;
  if (from_shared) from.space = Space::shared;
  if (!low.address(w[0], to, 16, true) || !low.address(w[1], from, 16, false)) return false;
  const Ref size = low.source(w[2], Type::u32), shift = low.constant(to.imm, 8);
  if (size == kNoRef) return false;
  Inst& copy = low.emit(copy_bulk);
  copy.r[0] = from.r[4];
  copy.r[1] = size;
  copy.r[3] = shift;
  copy.r[4] = to.r[4];
  copy.imm = from.imm;
  copy.mode = from.width;
  copy.width = to.width;
  copy.space = to.space;
  copy.flags = from_shared ? 1 : 0;
  if (!by_barrier) return true;
  Inst done;
  done.mode = static_cast<uint8_t>(MBarrierOp::complete_tx);
  done.space = Space::shared;
  done.r[1] = size;
  return low.address(w[3], done, 8, true) && emit_mbarrier(low, done);
}

bool lower_mbarrier(Lowering& low, Words& w, bool& known) {
  known = w.in().op == "mbarrier";
  if (!known) return false;
  if (w.take("init")) return simple(low, w, MBarrierOp::init, true);
  if (w.take("inval")) return simple(low, w, MBarrierOp::inval, false);
  if (w.take("arrive")) return arrive(low, w, MBarrierOp::arrive);
  if (w.take("arrive_drop")) return arrive(low, w, MBarrierOp::arrive_drop);
  if (w.take("test_wait") || w.take("try_wait")) return wait(low, w);
  if (w.take("expect_tx")) return simple(low, w, MBarrierOp::expect_tx, true);
  if (w.take("complete_tx")) return simple(low, w, MBarrierOp::complete_tx, true);
  if (w.take("pending_count")) {
    w.take("b64");
    if (!low.arity(w, 2, 2)) return false;
    const Ref d = low.destination(w[0], Type::u32), a = low.source(w[1], Type::b64);
    if (d == kNoRef || a == kNoRef) return false;
    Inst& in = low.emit(mbarrier_pending);
    in.r[0] = d;
    in.r[1] = a;
    return true;
  }
  return low.fail("this operation is not supported");
}

}  // namespace nm::softgpu::ptx
