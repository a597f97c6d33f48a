// ldmatrix, stmatrix, movmatrix and mma.sync.
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

// stmatrix.sync.aligned.m8n8.x4{.trans}.shared.b16 [p], {r…};
bool store_matrix(Lowering& low, Words& w) {
  Inst in;
  if (!w.take("sync") || !w.take("aligned") || !w.take("m8n8")) return low.fail("only .m8n8 is supported");
  in.count = w.take("x4") ? 4 : w.take("x2") ? 2 : 1;
  w.take("x1");
  const uint8_t flags = w.take("trans") ? 1 : 0;
  if (w.take("shared") || w.take("shared::cta")) in.space = Space::shared;
  if (w.take_type() != Type::b16 || !low.arity(w, 2, 2)) return low.fail("only .b16 is supported");
  if (!low.address(w[0], in, 16, true)) return false;
  auto more = std::make_unique<Ref[]>(in.count);
  const bool vector = w[1].kind == Kindly::vector;
  if (vector ? w[1].items.size() != in.count : in.count != 1)
    return low.fail("the vector has another number of elements");
  for (uint32_t i = 0; i < in.count; ++i) {
    more[i] = low.source(vector ? w[1].items[i] : w[1], Type::b32);
    if (more[i] == kNoRef) return false;
  }
  const Ref everybody = low.constant(~0u, 4);
  Inst& out = low.emit(deposit_target_rows);
  out.inner = finish_store_rows;
  out.kind = Kind::collective;
  out.more = more.get();
  out.r[4] = in.r[4];
  out.r[5] = everybody;
  out.imm = in.imm;
  out.width = in.width;
  out.space = in.space;
  out.count = in.count;
  out.flags = flags;
  low.out().more.push_back(std::move(more));
  return true;
}

// movmatrix.sync.aligned.m8n8.trans.b16 d, a;
bool transpose_matrix(Lowering& low, Words& w) {
  if (!w.take("sync") || !w.take("aligned") || !w.take("m8n8") || !w.take("trans") || w.take_type() != Type::b16)
    return low.fail("only .m8n8.trans.b16 exists");
  if (!low.arity(w, 2, 2)) return false;
  const Ref d = low.destination(w[0], Type::b32), a = low.source(w[1], Type::b32);
  if (d == kNoRef || a == kNoRef) return false;
  const Ref everybody = low.constant(~0u, 4);
  Inst& in = low.emit(deposit_none_matrix);
  in.inner = finish_transpose;
  in.kind = Kind::collective;
  in.r[0] = d;
  in.r[1] = a;
  in.r[5] = everybody;
  return true;
}

struct Shape {
  std::string_view name;
  uint8_t rows, k;
};
constexpr Shape kShapes[] = {{"m16n8k32", 16, 32}, {"m16n8k16", 16, 16}, {"m16n8k8", 16, 8},
                             {"m16n8k4", 16, 4},   {"m8n8k16", 8, 16},   {"m8n8k4", 8, 4}};

// Which shapes exist for the types of A and B.
bool exists(const Shape& shape, Type a, Type b) {
  const bool bytes = (a == Type::s8 || a == Type::u8) && (b == Type::s8 || b == Type::u8);
  if (bytes) return shape.rows == 8 ? shape.k == 16 : shape.k >= 16;
  if (a != b || shape.k == 32) return false;
  if (a == Type::f64) return shape.rows == 16 || shape.k == 4;
  if (shape.rows == 8) return false;
  return a == Type::tf32 ? shape.k <= 8 : (a == Type::f16 || a == Type::bf16) && shape.k >= 8;
}

// mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 d, a, b, c;
bool product(Lowering& low, Words& w) {
  if (!w.take("sync") || !w.take("aligned") || !w.take("row") || !w.take("col"))
    return low.fail("only .row.col is supported");
  const Shape* shape = nullptr;
  for (const Shape& known : kShapes) {
    if (shape == nullptr && w.take(known.name)) shape = &known;
  }
  uint8_t flags = w.take("satfinite") ? kSaturateSum : 0;
  w.take("rn");
  const Type c = w.take_type(), b = w.take_type(), a = w.take_type(), d = w.take_type();
  if (shape == nullptr || c != d || !exists(*shape, a, b)) return low.fail("this shape or type is not supported");
  const uint32_t element = a == Type::tf32 ? 4 : size_of(a);
  if (element == 1) flags |= kIntegerSum;
  if (c == Type::f16 && a == Type::f16) flags |= kHalfSum;
  if (shape->rows == 8) flags |= kEightRows;
  const Type sum = element == 1 ? Type::s32 : element == 8 ? Type::f64 : Type::f32;
  if (c != sum && !(flags & kHalfSum)) return low.fail("this shape or type is not supported");
  if (!low.arity(w, 4, 4)) return false;
  const uint32_t parts = element < 4 ? 4 / element : 1, rows = shape->rows, k = shape->k;
  const uint32_t sums = rows / (flags & kHalfSum ? 8u : 4u);
  const uint32_t counts[4] = {sums, rows * k / kLanes / parts, 8u * k / kLanes / parts, sums};
  const Type wide = element == 8 ? Type::b64 : Type::b32;
  std::vector<Ref> refs;
  for (uint32_t operand = 0; operand < 4; ++operand) {
    const ast::Operand& op = w[operand];
    const bool vector = op.kind == Kindly::vector;
    if (vector ? op.items.size() != counts[operand] : counts[operand] != 1)
      return low.fail("an operand has another number of elements");
    for (uint32_t i = 0; i < counts[operand]; ++i) {
      const ast::Operand& item = vector ? op.items[i] : op;
      refs.push_back(operand == 0 ? low.destination(item, wide) : low.source(item, wide));
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
  in.width = static_cast<uint8_t>(b);
  in.size = shape->k;
  in.flags = flags;
  low.out().more.push_back(std::move(more));
  return true;
}

}  // namespace

bool lower_matrix(Lowering& low, Words& w, bool& known) {
  known = true;
  if (w.in().op == "ldmatrix") return load_matrix(low, w);
  if (w.in().op == "stmatrix") return store_matrix(low, w);
  if (w.in().op == "movmatrix") return transpose_matrix(low, w);
  if (w.in().op == "mma") return product(low, w);
  known = false;
  return false;
}

}  // namespace nm::softgpu::ptx
