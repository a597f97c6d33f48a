// ldmatrix and mma.sync.
#include <algorithm>

#include "softgpu/ptx/lower.h"
#include "softgpu/ptx/ops_matrix.h"

namespace nm::softgpu::ptx {
namespace {

using Kindly = ast::Operand::Kind;

// ldmatrix.sync.aligned.m8n8.x4{.trans}.shared.b16 {r…}, [p];
bool load_matrix(Lowering& low, Words& w) {
  Inst in;
  if (!w.take("sync") || !w.take("aligned") || !w.take("m8n8")) return low.fail("only .m8n8 is supported");
  in.count = w.take("x4") ? 4 : w.take("x2") ? 2 : 1;
  w.take("x1");
  in.flags = w.take("trans") ? 1 : 0;
  if (w.take("shared") || w.take("shared::cta")) in.space = Space::shared;
  if (w.take_type() != Type::b16 || !low.arity(w, 2, 2)) return low.fail("only .b16 is supported");
  const uint8_t flags = in.flags;
  for (uint32_t i = 0; i < in.count; ++i) {
    const bool vector = w[0].kind == Kindly::vector;
    if (vector ? w[0].items.size() != in.count : in.count != 1)
      return low.fail("the vector has another number of elements");
    in.r[i] = low.destination(vector ? w[0].items[i] : w[0], Type::b32);
    if (in.r[i] == kNoRef) return false;
  }
  if (!low.address(w[1], in, 16, false)) return false;
  const Ref everybody = low.constant(~0u, 4);
  Inst& out = low.emit(deposit_rows);
  out.inner = finish_rows;
  out.kind = Kind::collective;
  for (int i = 0; i < 5; ++i) out.r[i] = in.r[i];
  out.r[5] = everybody;
  out.imm = in.imm;
  out.width = in.width;
  out.space = in.space;
  out.count = in.count;
  out.flags = flags;
  return true;
}

// mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 d, a, b, c;
bool product(Lowering& low, Words& w) {
  if (!w.take("sync") || !w.take("aligned") || !w.take("row") || !w.take("col"))
    return low.fail("only .row.col is supported");
  uint8_t k = 0;
  if (w.take("m16n8k16"))
    k = 16;
  else if (w.take("m16n8k8"))
    k = 8;
  else if (w.take("m16n8k4"))
    k = 4;
  const Type c = w.take_type(), b = w.take_type(), a = w.take_type(), d = w.take_type();
  const bool halves = (a == Type::f16 || a == Type::bf16) && (k == 16 || k == 8);
  const bool tf32 = a == Type::tf32 && (k == 8 || k == 4);
  const bool to_half = c == Type::f16 && a == Type::f16;
  if (a != b || c != d || (!halves && !tf32) || (c != Type::f32 && !to_half))
    return low.fail("this shape or type is not supported");
  if (!low.arity(w, 4, 4)) return false;
  const uint32_t parts = tf32 ? 1 : 2;
  const uint32_t counts[4] = {to_half ? 2u : 4u, 16u * k / kLanes / parts, 8u * k / kLanes / parts, to_half ? 2u : 4u};
  std::vector<Ref> refs;
  for (uint32_t operand = 0; operand < 4; ++operand) {
    const ast::Operand& op = w[operand];
    const bool vector = op.kind == Kindly::vector;
    if (vector ? op.items.size() != counts[operand] : counts[operand] != 1)
      return low.fail("an operand has another number of elements");
    for (uint32_t i = 0; i < counts[operand]; ++i) {
      const ast::Operand& item = vector ? op.items[i] : op;
      refs.push_back(operand == 0 ? low.destination(item, Type::b32) : low.source(item, Type::b32));
      if (refs.back() == kNoRef) return false;
    }
  }
  const Ref everybody = low.constant(~0u, 4);
  auto more = std::make_unique<Ref[]>(refs.size());
  std::copy(refs.begin(), refs.end(), more.get());
  Inst& in = low.emit(deposit_none_matrix);
  in.inner = finish_product;
  in.kind = Kind::collective;
  in.more = more.get();
  in.r[5] = everybody;
  in.mode = static_cast<uint8_t>(a);
  in.size = k;
  in.flags = to_half ? 1 : 0;
  low.out().more.push_back(std::move(more));
  return true;
}

}  // namespace

bool lower_matrix(Lowering& low, Words& w, bool& known) {
  known = true;
  if (w.in().op == "ldmatrix") return load_matrix(low, w);
  if (w.in().op == "mma") return product(low, w);
  known = false;
  return false;
}

}  // namespace nm::softgpu::ptx
