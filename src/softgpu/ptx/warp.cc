// The execution loop of one warp, and the rules by which its fragments take turns.
#include <bit>
#include <cstring>

#include "softgpu/ptx/program.h"
#include "softgpu/ptx/scheduler.h"

namespace nm::softgpu::ptx {
namespace {

constexpr size_t kNone = ~size_t{0};

bool before(const Fragment& a, const Fragment& b) {
  if (a.frame->depth != b.frame->depth) return a.frame->depth > b.frame->depth;
  if (a.frame != b.frame) return a.frame < b.frame;
  return a.pc < b.pc;
}

// The fragment to run next, joined with those at the same place. kNone: nobody is ready.
size_t choose(Warp& warp) {
  auto& list = warp.fragments;
  size_t best = kNone;
  for (int attempt = 0; attempt < 2 && best == kNone; ++attempt) {
    bool any = false;
    for (size_t i = 0; i < list.size(); ++i) {
      if (list[i].state != State::ready) continue;
      any = true;
      if (list[i].passed_over) continue;
      if (best == kNone || before(list[i], list[best])) best = i;
    }
    if (best == kNone && any) {
      for (Fragment& fragment : list) fragment.passed_over = false;
    }
  }
  if (best == kNone || list.size() == 1) return best;
  for (size_t i = list.size(); i-- > 0;) {
    if (i == best || list[i].state != State::ready || list[i].frame != list[best].frame || list[i].pc != list[best].pc)
      continue;
    list[best].mask |= list[i].mask;
    if (i != list.size() - 1) list[i] = list.back();
    if (best == list.size() - 1) best = i;
    list.pop_back();
  }
  return best;
}

void enter(Exec& x, Warp& warp, const Fragment& fragment) {
  x.frame = fragment.frame;
  x.base[0] = fragment.frame->registers.data();
  x.dead = ~warp.alive;
}

void remove(Warp& warp, size_t index) {
  if (index != warp.fragments.size() - 1) warp.fragments[index] = warp.fragments.back();
  warp.fragments.pop_back();
}

// Lanes that wait for each other at different places, all of them there now: run the collective for each place.
bool resolve_collectives(Exec& x, Warp& warp) {
  for (Fragment& first : warp.fragments) {
    if (first.state != State::collective) continue;
    uint32_t gathered = 0;
    for (Fragment& other : warp.fragments) {
      if (other.state == State::collective && other.wait_mask == first.wait_mask && other.pc->inner == first.pc->inner)
        gathered |= other.mask;
    }
    if ((first.wait_mask & warp.alive) & ~gathered) continue;
    const uint32_t wait_mask = first.wait_mask;
    const Handler inner = first.pc->inner;
    for (int half = 0; half < 2; ++half) {
      for (Fragment& fragment : warp.fragments) {
        if (fragment.state != State::collective || fragment.wait_mask != wait_mask || fragment.pc->inner != inner)
          continue;
        enter(x, warp, fragment);
        x.mask = fragment.mask;
        x.participants = gathered;
        if (half == 0) {
          fragment.pc->fn(x, *fragment.pc);
        } else {
          inner(x, *fragment.pc);
          fragment.state = State::ready;
          ++fragment.pc;
        }
      }
    }
    return true;
  }
  return false;
}

// Ends the lanes of `mask`, which are in `frame` and its callers.
void end_lanes(Exec& x, Warp& warp, Frame* frame, uint32_t mask) {
  while (frame != nullptr) {
    Frame* parent = frame->parent;
    frame->live &= ~mask;
    if (frame->live == 0) drop_frame(warp, frame);
    frame = parent;
  }
  const uint32_t threads = static_cast<uint32_t>(std::popcount(mask));
  warp.alive &= ~mask;
  x.dead = ~warp.alive;
  warp.block->alive -= threads;
  if (warp.block->cluster != nullptr) warp.block->cluster->alive -= threads;
}

void copy_args(const std::vector<ArgCopy>& copies, const Frame& from, Frame& to, uint32_t mask) {
  const size_t from_stride = from.function->param_bytes, to_stride = to.function->param_bytes;
  for (const ArgCopy& copy : copies) {
    for (uint32_t m = mask; m; m &= m - 1) {
      const size_t lane = static_cast<size_t>(std::countr_zero(m));
      std::memcpy(to.params.data() + lane * to_stride + copy.to, from.params.data() + lane * from_stride + copy.from,
                  copy.bytes);
    }
  }
}

// An indirect call has to fit: sizes are what matters for memory.
bool matches(const CallSite& site, const Function& callee) {
  if (!callee.defined || callee.is_entry || site.param_bytes.size() != callee.params.size() ||
      site.return_bytes.size() != callee.returns.size())
    return false;
  for (size_t i = 0; i < callee.params.size(); ++i) {
    if (callee.params[i].bytes != site.param_bytes[i]) return false;
  }
  for (size_t i = 0; i < callee.returns.size(); ++i) {
    if (callee.returns[i].bytes != site.return_bytes[i]) return false;
  }
  return true;
}

std::vector<ArgCopy> copies_in(const CallSite& site, const Function& callee) {
  std::vector<ArgCopy> copies;
  for (size_t i = 0; i < site.arg_offsets.size(); ++i)
    copies.push_back({site.arg_offsets[i], callee.params[i].offset, callee.params[i].bytes});
  return copies;
}
std::vector<ArgCopy> copies_out(const CallSite& site, const Function& callee) {
  std::vector<ArgCopy> copies;
  for (size_t i = 0; i < site.result_offsets.size(); ++i)
    copies.push_back({callee.returns[i].offset, site.result_offsets[i], callee.returns[i].bytes});
  return copies;
}

// What became of the fragment at a control instruction.
enum class Next : uint8_t { go_on, choose_again, leave_spinning, leave_more, fault };

struct Runner {
  Exec& x;
  Warp& warp;
  size_t at = 0;
  const Inst* pc = nullptr;
  uint32_t active = 0;
  int64_t budget = kWarpTurn;

  Fragment& fragment() { return warp.fragments[at]; }
  // The lanes of `mask` go on by themselves at `where`.
  void split(uint32_t mask, const Inst* where) {
    Fragment other = fragment();
    other.mask = mask;
    other.pc = where;
    other.passed_over = false;
    fragment().mask &= ~mask;
    active &= ~mask;
    warp.fragments.push_back(other);
  }
  Next jumped(const Inst* to);
  Next branch(uint32_t mask, const Inst* to);
  Next branch_table(const Inst& in, uint32_t mask);
  Next call(const Inst& in, uint32_t mask);
  Next ret(uint32_t mask);
  Next exit(uint32_t mask);
  bool collective_by_groups(const Inst& in, uint32_t mask, const uint32_t* members);
  Next collective(const Inst& in, uint32_t mask);
  Next barrier(const Inst& in, uint32_t mask);
  Next cluster_wait(uint32_t mask);
  Next control(const Inst& in, uint32_t mask);
  Turn run();
};

// After a jump: other fragments may come first now, and loops have to let others run.
Next Runner::jumped(const Inst* to) {
  const bool backward = to <= pc;
  if (backward) budget -= pc - to + 1;
  pc = to;
  const bool alone = warp.fragments.size() == 1;
  if (backward) {
    ++warp.spins;
    const bool waiting = x.spin_hint && warp.spins > kSpinLimit;
    if (!alone && (waiting || warp.spins > kPassOverLimit)) {
      fragment().passed_over = true;
      warp.spins = 0;
      bool others = false;
      for (const Fragment& other : warp.fragments) others |= other.state == State::ready && !other.passed_over;
      if (!others && waiting) {
        fragment().pc = pc;
        x.spin_hint = false;
        return Next::leave_spinning;
      }
    } else if (alone && waiting) {
      warp.spins = 0;
      x.spin_hint = false;
      fragment().pc = pc;
      return Next::leave_spinning;
    }
    if (budget <= 0) {
      fragment().pc = pc;
      return Next::leave_more;
    }
  }
  if (alone) return Next::go_on;
  fragment().pc = pc;
  return Next::choose_again;
}

Next Runner::branch(uint32_t mask, const Inst* to) {
  if (mask == 0) {
    ++pc;
    return Next::go_on;
  }
  if (mask != active) split(active & ~mask, pc + 1);
  return jumped(to);
}

Next Runner::branch_table(const Inst& in, uint32_t mask) {
  if (mask != active && mask != 0) split(active & ~mask, pc + 1);
  if (mask == 0) {
    ++pc;
    return Next::go_on;
  }
  const uint32_t* index = x.reg<uint32_t>(in.r[0]);
  const uint32_t mine = index[std::countr_zero(mask)];
  uint32_t same = 0;
  for (uint32_t m = mask; m; m &= m - 1) {
    const uint32_t lane = static_cast<uint32_t>(std::countr_zero(m));
    if (index[lane] == mine) same |= 1u << lane;
  }
  if (mine >= in.table->size()) {
    x.raise(Fault::invalid_pc, static_cast<uint32_t>(std::countr_zero(mask)), "brx.idx beyond its table");
    return Next::fault;
  }
  if (same != mask) split(mask & ~same, pc);  // the others come back to this instruction
  return jumped((*in.table)[mine]);
}

Next Runner::call(const Inst& in, uint32_t mask) {
  if (mask == 0) {
    ++pc;
    return Next::go_on;
  }
  if (mask != active) split(active & ~mask, pc + 1);
  const CallSite& site = *in.call;
  const Function* callee = site.callee;
  const uint32_t lane = static_cast<uint32_t>(std::countr_zero(mask));
  if (in.kind == Kind::call_indirect) {
    const uint64_t* target = x.reg<uint64_t>(in.r[0]);
    uint32_t same = 0;
    for (uint32_t m = mask; m; m &= m - 1) {
      if (target[std::countr_zero(m)] == target[lane]) same |= m & -m;
    }
    if (same != mask) split(mask & ~same, pc);
    mask = same;
    callee = x.grid->program->at(target[lane]);
    if (callee == nullptr || !matches(site, *callee)) {
      x.raise(Fault::invalid_pc, lane, "indirect call of what is no function of that shape");
      return Next::fault;
    }
  }
  Frame* caller = fragment().frame;
  fragment().pc = pc;
  Frame* frame = push_frame(x, warp, *callee, caller, &in, mask);
  if (frame == nullptr) return Next::fault;
  copy_args(site.callee != nullptr ? site.in : copies_in(site, *callee), *caller, *frame, mask);
  fragment().frame = frame;
  pc = callee->code.data();
  fragment().pc = pc;
  enter(x, warp, fragment());
  budget -= kCallCost;
  if (budget <= 0) return Next::leave_more;
  return warp.fragments.size() == 1 ? Next::go_on : Next::choose_again;
}

Next Runner::ret(uint32_t mask) {
  Frame* frame = fragment().frame;
  if (frame->parent == nullptr) return exit(mask);
  if (mask == 0) {
    ++pc;
    return Next::go_on;
  }
  if (mask != active) split(active & ~mask, pc + 1);
  const CallSite& site = *frame->call->call;
  copy_args(site.callee != nullptr ? site.out : copies_out(site, *frame->function), *frame, *frame->parent, mask);
  fragment().frame = frame->parent;
  pc = frame->call + 1;
  fragment().pc = pc;
  frame->live &= ~mask;
  if (frame->live == 0) drop_frame(warp, frame);
  enter(x, warp, fragment());
  return warp.fragments.size() == 1 ? Next::go_on : Next::choose_again;
}

Next Runner::exit(uint32_t mask) {
  if (mask == 0) {
    ++pc;
    return Next::go_on;
  }
  Frame* frame = fragment().frame;
  fragment().mask &= ~mask;
  fragment().pc = pc + 1;
  if (fragment().mask == 0) remove(warp, at);
  end_lanes(x, warp, frame, mask);
  threads_left(x, *warp.block);
  return Next::choose_again;
}

// The lanes of `mask` that name the same members as its first one.
uint32_t group_of(uint32_t mask, const uint32_t* members) {
  const uint32_t first = members[std::countr_zero(mask)];
  uint32_t group = 0;
  for (uint32_t l = 0; l < kLanes; ++l) group |= (members[l] == first ? 1u : 0u) << l;
  return group & mask;
}

// Groups that are all there, as the tiles of a warp are: one after the other, and the lanes stay together. False, and
// nothing has happened: some group is not complete.
bool Runner::collective_by_groups(const Inst& in, uint32_t mask, const uint32_t* members) {
  for (uint32_t left = mask; left != 0;) {
    const uint32_t group = group_of(left, members);
    if (members[std::countr_zero(group)] & warp.alive & ~group) return false;
    left &= ~group;
  }
  uint32_t named[kLanes];  // the operation may write the register
  std::memcpy(named, members, sizeof named);
  for (uint32_t left = mask; left != 0 && x.fault == Fault::none;) {
    const uint32_t group = group_of(left, named);
    x.mask = x.participants = group;
    in.fn(x, in);
    in.inner(x, in);
    left &= ~group;
  }
  return true;
}

Next Runner::collective(const Inst& in, uint32_t mask) {
  if (mask == 0) {
    ++pc;
    return Next::go_on;
  }
  uint32_t members = mask;
  if (in.r[5] != kNoRef) {
    const uint32_t* named = x.reg<uint32_t>(in.r[5]);
    members = named[std::countr_zero(mask)];
    if ((in.r[5] & 3) != kConstants) {
      if (const uint32_t group = group_of(mask, named); group != mask) {
        if (collective_by_groups(in, mask, named)) {
          ++pc;
          return x.fault == Fault::none ? Next::go_on : Next::fault;
        }
        split(mask & ~group, pc);  // the others come back to this instruction
        mask = group;
      }
    }
  }
  const uint32_t missing = members & warp.alive & ~mask;
  if (missing == 0) {
    x.mask = x.participants = mask;
    in.fn(x, in);
    in.inner(x, in);
    ++pc;
    return x.fault == Fault::none ? Next::go_on : Next::fault;
  }
  if (mask != active) split(active & ~mask, pc + 1);
  fragment().pc = pc;
  fragment().state = State::collective;
  fragment().wait_mask = members;
  // Somebody may have been waiting here already.
  for (size_t i = 0; i < warp.fragments.size(); ++i) {
    Fragment& other = warp.fragments[i];
    if (i == at || other.state != State::collective || other.pc != pc || other.frame != fragment().frame ||
        other.wait_mask != members)
      continue;
    other.mask |= fragment().mask;
    if ((members & warp.alive & ~other.mask) == 0) other.state = State::ready;
    remove(warp, at);
    break;
  }
  return Next::choose_again;
}

Next Runner::barrier(const Inst& in, uint32_t mask) {
  if (mask == 0) {
    ++pc;
    return Next::go_on;
  }
  if (mask != active) split(active & ~mask, pc + 1);
  fragment().pc = pc;
  const bool waits = arrive_at_barrier(x, warp, at, in);
  if (x.fault != Fault::none) return Next::fault;
  if (!waits) {
    ++pc;
    return Next::go_on;
  }
  return Next::choose_again;
}

Next Runner::cluster_wait(uint32_t mask) {
  if (mask == 0 || warp.block->cluster->phase != warp.cluster_phase) {
    ++pc;
    return Next::go_on;
  }
  if (mask != active) split(active & ~mask, pc + 1);
  fragment().pc = pc;
  fragment().state = State::cluster;
  return Next::choose_again;
}

Next Runner::control(const Inst& in, uint32_t mask) {
  switch (in.kind) {
    case Kind::plain:
      return Next::go_on;
    case Kind::join:
      ++pc;
      if (warp.fragments.size() == 1) return Next::go_on;
      --pc;
      fragment().pc = pc;
      return Next::choose_again;
    case Kind::branch:
      return branch(mask, in.target);
    case Kind::branch_table:
      return branch_table(in, mask);
    case Kind::call:
    case Kind::call_indirect:
      return call(in, mask);
    case Kind::ret:
      return ret(mask);
    case Kind::exit:
      return exit(mask);
    case Kind::collective:
      return collective(in, mask);
    case Kind::barrier:
      return barrier(in, mask);
    case Kind::cluster_arrive:
      x.mask = mask;
      if (mask != 0) cluster_arrive(x, warp, in);
      ++pc;
      return Next::go_on;
    case Kind::cluster_wait:
      return cluster_wait(mask);
    case Kind::yield:
      ++pc;
      fragment().pc = pc;
      x.spin_hint = false;
      if (warp.fragments.size() > 1) fragment().passed_over = true;
      return Next::leave_spinning;
    case Kind::trap:
      ++pc;
      if (mask == 0) return Next::go_on;
      x.raise(Fault::launch_failure, static_cast<uint32_t>(std::countr_zero(mask)), "the program executed trap");
      return Next::fault;
  }
  return Next::fault;
}

Turn Runner::run() {
  for (;;) {
    at = choose(warp);
    if (at == kNone) {
      if (warp.fragments.empty()) return Turn::finished;
      if (!resolve_collectives(x, warp)) return Turn::blocked;
      if (x.fault != Fault::none) return Turn::fault;
      continue;
    }
    pc = fragment().pc;
    active = fragment().mask;
    enter(x, warp, fragment());
    if (pc->kind == Kind::join) ++pc;
    Next next = Next::go_on;
    do {
      const Inst& in = *pc;
      uint32_t mask = active;
      if (in.guard_mode != 0) {
        const uint32_t p = *x.reg<uint32_t>(in.guard);
        mask &= in.guard_mode == 1 ? p : ~p;
      }
      if (in.kind == Kind::plain) {
        if (mask != 0) {
          x.mask = mask;
          in.fn(x, in);
          if (x.fault != Fault::none) [[unlikely]] {
            fragment().pc = pc;
            return Turn::fault;
          }
        }
        ++pc;
        continue;
      }
      next = control(in, mask);
      if (next == Next::go_on) active = fragment().mask;
    } while (next == Next::go_on);
    if (next == Next::fault) {
      if (at < warp.fragments.size()) fragment().pc = pc;
      return Turn::fault;
    }
    if (next == Next::leave_spinning) return Turn::spinning;
    if (next == Next::leave_more) return Turn::more;
  }
}

}  // namespace

Turn run_warp(Exec& x, Warp& warp) {
  x.warp = &warp;
  x.spin_hint = false;
  x.base[2] = warp.specials.data();
  x.local_begin = reinterpret_cast<uint64_t>(warp.local);
  Runner runner{x, warp};
  return runner.run();
}

}  // namespace nm::softgpu::ptx
