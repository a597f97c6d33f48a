// Loads, stores, atomics, address conversions, copies.
#include <algorithm>
#include <optional>

#include "softgpu/ptx/lower.h"
#include "softgpu/ptx/ops_atomic.h"
#include "softgpu/ptx/ops_space.h"

namespace nm::softgpu::ptx {
namespace {

using Kindly = ast::Operand::Kind;

Space take_space(Words& w) {
  if (w.take("global")) return Space::global;
  if (w.take("shared") || w.take("shared::cta") || w.take("shared::cluster")) return Space::shared;
  if (w.take("local")) return Space::local;
  if (w.take("const")) return Space::constant;
  if (w.take("param") || w.take("param::entry") || w.take("param::func")) return Space::param;
  return Space::generic;
}

// What the order and scope words mean here: every access is at least as strong as the host's. `waits`: the kind of
// access with which programs wait for each other.
bool take_order(Words& w) {
  bool waits = false;
  for (std::string_view word : {"volatile", "acquire", "relaxed", "mmio", "acq_rel", "release", "seq_cst"})
    waits |= w.take(word);
  w.take("weak");
  for (std::string_view word : {"cta", "cluster", "gpu", "sys"}) w.take(word);
  return waits;
}

// Cache and prefetch hints have no effect.
void take_hints(Words& w) {
  for (std::string_view word : w.in().mods) {
    const bool hint = word == "ca" || word == "cg" || word == "cs" || word == "lu" || word == "cv" || word == "wb" ||
                      word == "wt" || word == "nc" || word == "unified" || word.starts_with("L1::") ||
                      word.starts_with("L2::");
    if (hint) w.take(word);
  }
}

// A value operand, or the elements of a vector.
bool values(Lowering& low, const ast::Operand& op, uint32_t count, Type type, bool write, Inst& in, uint32_t& bytes) {
  const std::vector<ast::Operand>* items = op.kind == Kindly::vector ? &op.items : nullptr;
  if (items != nullptr ? items->size() != count : count != 1)
    return low.fail("the vector has another number of elements");
  bytes = 0;
  for (uint32_t k = 0; k < count; ++k) {
    const ast::Operand& item = items != nullptr ? (*items)[k] : op;
    const uint32_t least = std::max(2u, size_of(type));
    const uint32_t have = low.register_bytes(item);
    if (have != 0 && have < least) return low.fail("the register is too small");
    if (bytes == 0 || have > bytes) bytes = std::max(least, have);
    if (item.kind == Kindly::sink && !write) continue;
  }
  for (uint32_t k = 0; k < count; ++k) {
    const ast::Operand& item = items != nullptr ? (*items)[k] : op;
    if (item.kind == Kindly::sink && !write) continue;
    const Type wide = bytes == 16 ? Type::b128 : unsigned_of(bytes);
    const Type as = item.kind == Kindly::real ? type : wide;
    in.r[k] = write ? low.source(item, as) : low.destination(item, wide);
    if (in.r[k] == kNoRef) return false;
  }
  return true;
}

bool emit_memory(Lowering& low, const Inst& in, Handler handler) {
  Inst& out = low.emit(handler);
  Inst copy = in;
  copy.fn = handler;
  copy.guard = out.guard;
  copy.guard_mode = out.guard_mode;
  copy.line = out.line;
  out = copy;
  return true;
}

bool load_store(Lowering& low, Words& w, bool write) {
  Inst in;
  in.space = take_space(w);
  const bool waits = take_order(w);
  take_hints(w);
  in.count = w.take("v2") ? 2 : w.take("v4") ? 4 : 1;
  const Type type = w.take_type();
  if (type == Type::none || type == Type::pred || (type == Type::b128 && in.count != 1))
    return low.fail("a type in memory is wanted");
  if (!low.arity(w, 2, 3)) return false;  // the third is a cache policy
  in.size = static_cast<uint8_t>(size_of(type));
  const uint32_t total = uint32_t{in.size} * in.count;
  if (total > 16 && in.count == 4) return low.fail("vectors of 32 bytes are not supported");
  uint32_t bytes = 0;
  if (!values(low, w[write ? 1 : 0], in.count, type, write, in, bytes)) return false;
  if (!low.address(w[write ? 0 : 1], in, total, write)) return false;
  if (write && in.space == Space::constant) return low.fail("constants cannot be written");
  if (in.flags == 0 && in.space == Space::param && write && low.is_entry())
    return low.fail("parameters of a kernel are read-only");
  if (waits && !write) in.flags |= kSpinHint;
  Handler handler = write ? finders().store(type, bytes) : finders().load(type, bytes);
  if (handler == nullptr) return low.fail("this width is not supported");
  return emit_memory(low, in, handler);
}

bool atomic(Lowering& low, Words& w, bool reduce) {
  Inst in;
  in.space = take_space(w);
  take_order(w);
  take_hints(w);
  w.take("noftz");
  struct Named {
    std::string_view name;
    Atomic op;
  };
  constexpr Named kOps[] = {{"add", Atomic::add},   {"min", Atomic::min},  {"max", Atomic::max}, {"inc", Atomic::inc},
                            {"dec", Atomic::dec},   {"and", Atomic::and_}, {"or", Atomic::or_},  {"xor", Atomic::xor_},
                            {"exch", Atomic::exch}, {"cas", Atomic::cas}};
  std::optional<Atomic> op;
  for (const Named& named : kOps) {
    if (!op && w.take(named.name)) op = named.op;
  }
  const uint32_t count = w.take("v2") ? 2 : w.take("v4") ? 4 : w.take("v8") ? 8 : 1;
  const Type type = w.take_type();
  if (!op) return low.fail("no operation");
  if (in.space != Space::generic && in.space != Space::global && in.space != Space::shared)
    return low.fail("no atomics in this state space");
  Handler handler = find_atomic(*op, type);
  if (handler == nullptr) return low.fail("this operation is not supported for the type");
  const size_t first = reduce ? 0 : 1;
  const size_t operands = first + (*op == Atomic::cas ? 3 : 2);
  if (!low.arity(w, operands, operands + 1)) return false;
  in.count = 1;
  in.size = static_cast<uint8_t>(size_of(type));
  if (!low.address(w[first], in, in.size, true)) return false;
  // A vector is atomic by element.
  auto element = [&](const ast::Operand& of, uint32_t k) -> const ast::Operand* {
    if (of.kind == Kindly::vector && of.items.size() == count) return &of.items[k];
    return count == 1 || of.kind == Kindly::sink ? &of : nullptr;
  };
  for (uint32_t k = 0; k < count; ++k, in.imm += in.size) {
    const ast::Operand* to = reduce ? nullptr : element(w[0], k);
    const ast::Operand* from = element(w[first + 1], k);
    if (from == nullptr || (to == nullptr && !reduce)) return low.fail("the vector has another number of elements");
    if (!reduce) {
      in.r[0] = low.destination_or_sink(*to, type);
      if (in.r[0] == kNoRef && to->kind != Kindly::sink) return false;
    }
    in.r[1] = low.source(*from, type);
    if (in.r[1] == kNoRef) return false;
    if (*op == Atomic::cas) {
      in.r[2] = low.source(w[first + 2], type);
      if (in.r[2] == kNoRef) return false;
    }
    emit_memory(low, in, handler);
  }
  return true;
}

// cvta{.to}.space.size d, a;
bool convert_address(Lowering& low, Words& w) {
  const bool to_space = w.take("to");
  const Space space = take_space(w);
  const Type type = w.take_type();
  if (type != Type::u64) return low.fail("only 64-bit addresses are supported");
  if (!low.arity(w, 2, 2)) return false;
  const Ref d = low.destination(w[0], Type::u64), a = low.source(w[1], Type::u64);
  if (d == kNoRef || a == kNoRef) return false;
  Handler handler = finders().integer(Op::mov, Type::b64);
  if (space == Space::shared)
    handler = to_space ? shared_from_generic : generic_from_shared;
  else if (space == Space::local)
    handler = to_space ? local_from_generic : generic_from_local;
  else if (space == Space::generic)
    return low.fail("a state space is wanted");
  Inst& in = low.emit(handler);
  in.r[0] = d;
  in.r[1] = a;
  return true;
}

bool is_space(Lowering& low, Words& w) {
  const bool cluster = w.has("shared::cluster");
  const Space space = take_space(w);
  if (space == Space::generic || !low.arity(w, 2, 2)) return low.fail("a state space is wanted");
  const Ref p = low.predicate_destination(w[0]), a = low.source(w[1], Type::u64);
  if (p == kNoRef || a == kNoRef) return false;
  Inst& in = low.emit(test_space);
  in.r[0] = p;
  in.r[1] = a;
  in.space = space;
  in.flags = cluster ? 1 : 0;
  return true;
}

// mapa{.shared::cluster}.type d, a, rank;  getctarank{.shared::cluster}.type d, a;
bool map_address(Lowering& low, Words& w, bool rank) {
  const bool shared = take_space(w) == Space::shared;
  const Type type = w.take_type();
  if (type != Type::u32 && type != Type::u64) return low.fail("an address type is wanted");
  if (!shared && type != Type::u64) return low.fail("only 64-bit addresses are supported");
  if (!low.arity(w, rank ? 2 : 3, rank ? 2 : 3)) return false;
  const Ref d = low.destination(w[0], rank ? Type::u32 : type), a = low.source(w[1], type);
  const Ref b = rank ? 0 : low.source(w[2], Type::u32);
  if (d == kNoRef || a == kNoRef || b == kNoRef) return false;
  Inst& in = low.emit(rank ? cluster_rank_of : map_cluster_address);
  in.r[0] = d;
  in.r[1] = a;
  in.r[2] = b;
  in.size = static_cast<uint8_t>(size_of(type));
  in.flags = shared ? 1 : 0;
  return true;
}

// prefetch, discard, applypriority, createpolicy aside: the operands are checked, nothing happens.
bool hint(Lowering& low, Words& w) {
  take_space(w);
  take_hints(w);
  for (std::string_view word : {"L1", "L2", "tensormap", "L2::evict_last", "L2::evict_normal"}) w.take(word);
  Inst in;
  for (size_t i = 0; i < w.size(); ++i) {
    if (w[i].kind == Kindly::address && w[i].items[0].kind == Kindly::reg && low.register_bytes(w[i].items[0]) == 0)
      return low.fail("an address is wanted");
  }
  return true;
}

// cp.async.{ca,cg}.shared.global [dst], [src], size{, ignored-or-src-size};  done at once.
bool copy_async(Lowering& low, Words& w) {
  if (!w.take("async")) return low.fail("only cp.async is supported");
  if (w.take("bulk")) return lower_bulk_copy(low, w);
  if (w.take("commit_group") || w.take("wait_all")) return low.arity(w, 0, 0);
  if (w.take("wait_group")) return low.arity(w, 1, 1);
  if (w.take("mbarrier")) return lower_copy_arrival(low, w);
  take_hints(w);
  const bool to_shared = w.take("shared") || w.take("shared::cta");
  if (!to_shared || !w.take("global")) return low.fail("only copies from global to shared memory are supported");
  if (!low.arity(w, 3, 5)) return false;
  uint64_t size = 0;
  if (!low.integer(w[2], size)) return false;
  if (size != 4 && size != 8 && size != 16) return low.fail("4, 8 or 16 bytes can be copied");
  Inst to, from;
  to.space = Space::shared;
  from.space = Space::global;
  if (!low.address(w[0], to, static_cast<uint32_t>(size), true) ||
      !low.address(w[1], from, static_cast<uint32_t>(size), false))
    return false;
  Ref have = kNoRef;
  bool negated = false, by_predicate = false;
  if (w.size() > 3 && !w.has("L2::cache_hint")) {
    by_predicate = w[3].negated || (w[3].kind == Kindly::reg && low.register_bytes(w[3]) == 0);
    have = by_predicate ? low.predicate(w[3], negated) : low.source(w[3], Type::u32);
    if (have == kNoRef) return false;
  }
  const Ref shift = low.constant(to.imm, 8);  // the second displacement travels as a constant
  Inst& in = low.emit(copy_global_to_shared);
  in.size = static_cast<uint8_t>(size);
  in.r[0] = from.r[4];
  in.r[1] = to.r[4];
  in.r[2] = have;
  in.imm = from.imm;
  in.mode = from.width;
  in.width = to.width;
  in.flags = static_cast<uint8_t>((by_predicate ? 1 : 0) | (negated ? 2 : 0));
  in.r[3] = shift;
  return true;
}

// A policy is a number that nothing here looks at.
bool cache_policy(Lowering& low, Words& w) {
  while (!w.left().empty()) w.take(w.left());
  if (w.size() < 1) return low.fail("a result is wanted");
  const Ref d = low.destination(w[0], Type::b64), zero = low.constant(0, 8);
  if (d == kNoRef) return false;
  Inst& in = low.emit(finders().integer(Op::mov, Type::b64));
  in.r[0] = d;
  in.r[1] = zero;
  return true;
}

}  // namespace

bool lower_memory(Lowering& low, Words& w, bool& known) {
  const std::string_view op = w.in().op;
  known = true;
  if (op == "ld" || op == "ldu") return load_store(low, w, false);
  if (op == "st") return load_store(low, w, true);
  if (op == "atom") return atomic(low, w, false);
  if (op == "red" && !w.has("async")) return atomic(low, w, true);
  if (op == "cvta") return convert_address(low, w);
  if (op == "isspacep") return is_space(low, w);
  if (op == "mapa") return map_address(low, w, false);
  if (op == "getctarank") return map_address(low, w, true);
  if (op == "prefetch" || op == "prefetchu" || op == "discard" || op == "applypriority") return hint(low, w);
  if (op == "cp") return copy_async(low, w);
  if (op == "createpolicy") return cache_policy(low, w);
  known = false;
  return false;
}

}  // namespace nm::softgpu::ptx
