// wmma: load, store and mma of tiles.
#include <algorithm>
#include <optional>

#include "softgpu/ptx/lower.h"
#include "softgpu/ptx/ops_matrix.h"
#include "softgpu/ptx/ops_tile.h"

namespace nm::softgpu::ptx {
namespace {

using Kindly = ast::Operand::Kind;

struct Shape {
  std::string_view name;
  uint32_t m, n, k;
};
constexpr Shape kShapes[] = {{"m16n16k16", 16, 16, 16},
                             {"m32n8k16", 32, 8, 16},
                             {"m8n32k16", 8, 32, 16},
                             {"m16n16k8", 16, 16, 8},
                             {"m8n8k4", 8, 8, 4}};

const Shape* take_shape(Words& w) {
  for (const Shape& shape : kShapes) {
    if (w.take(shape.name)) return &shape;
  }
  return nullptr;
}

bool fits(const Shape& shape, Type type) {
  if (type == Type::f64) return shape.k == 4;
  if (type == Type::tf32) return shape.k == 8;
  return shape.k == 16 && (type == Type::f16 || type == Type::bf16 || type == Type::s8 || type == Type::u8);
}

enum class Part { a, b, sum };

// Registers of a lane for a part of a tile; zero: there is no such part.
uint32_t registers_of(const Shape& shape, Type type, Part part) {
  const uint32_t rows = part == Part::b ? shape.k : shape.m, columns = part == Part::a ? shape.k : shape.n;
  const uint32_t elements = rows * columns / kLanes;
  switch (type) {
    case Type::f16:
      return part == Part::sum ? elements / 2 : 8;
    case Type::bf16:
      return elements / 2;
    case Type::s8:
    case Type::u8:
      return elements / 4;
    default:
      return elements;
  }
}

// The types of sums that go with the operands' type.
bool sums(Type operands, Type sum) {
  if (operands == Type::f16) return sum == Type::f16 || sum == Type::f32;
  if (operands == Type::f64) return sum == Type::f64;
  return sum == (operands == Type::s8 || operands == Type::u8 ? Type::s32 : Type::f32);
}

bool registers(Lowering& low, const ast::Operand& op, uint32_t count, Type type, bool write, std::vector<Ref>& refs) {
  const bool vector = op.kind == Kindly::vector;
  if (vector ? op.items.size() != count : count != 1) return low.fail("an operand has another number of elements");
  const Type wide = type == Type::f64 ? Type::b64 : Type::b32;
  for (uint32_t i = 0; i < count; ++i) {
    const ast::Operand& item = vector ? op.items[i] : op;
    refs.push_back(write ? low.destination(item, wide) : low.source(item, wide));
    if (refs.back() == kNoRef) return false;
  }
  return true;
}

const Ref* keep(Lowering& low, const std::vector<Ref>& refs) {
  auto more = std::make_unique<Ref[]>(refs.size());
  std::copy(refs.begin(), refs.end(), more.get());
  low.out().more.push_back(std::move(more));
  return low.out().more.back().get();
}

// wmma.load.a.sync.aligned.row.m16n16k16.global.f16 {r…}, [p]{, stride};   wmma.store.d….f32 [p], {r…}{, stride};
bool move_tile(Lowering& low, Words& w, bool write) {
  std::optional<Part> part;
  if (!write && w.take("a")) part = Part::a;
  if (!write && w.take("b")) part = Part::b;
  if (w.take(write ? "d" : "c")) part = Part::sum;
  w.take("sync");
  w.take("aligned");
  const bool by_columns = w.take("col");
  if (!by_columns && !w.take("row")) return low.fail(".row or .col is wanted");
  const Shape* shape = take_shape(w);
  Inst in;
  if (w.take("shared") || w.take("shared::cta")) in.space = Space::shared;
  if (in.space == Space::generic && w.take("global")) in.space = Space::global;
  const Type type = w.take_type();
  const bool known =
      shape != nullptr && part &&
      (*part == Part::sum ? (type == Type::f16 && shape->k == 16) || (type == Type::f32 && shape->k >= 8) ||
                                (type == Type::s32 && shape->k == 16) || (type == Type::f64 && shape->k == 4)
                          : fits(*shape, type));
  if (!known) return low.fail("this shape or type is not supported");
  if (!low.arity(w, 2, 3)) return false;
  const uint32_t rows = *part == Part::b ? shape->k : shape->m, columns = *part == Part::a ? shape->k : shape->n;
  const uint32_t count = registers_of(*shape, type, *part);
  std::vector<Ref> refs;
  if (!registers(low, w[write ? 1 : 0], count, type, !write, refs)) return false;
  in.size = static_cast<uint8_t>(type == Type::tf32 ? 4 : size_of(type));
  if (!low.address(w[write ? 0 : 1], in, in.size, write)) return false;
  const Ref stride = w.size() > 2 ? low.source(w[2], Type::u32) : low.constant(by_columns ? rows : columns, 4);
  if (stride == kNoRef) return false;
  Inst& out = low.emit(write ? store_tile : load_tile);
  out.more = keep(low, refs);
  out.count = static_cast<uint8_t>(count);
  out.r[1] = stride;
  out.r[2] = rows;
  out.r[3] = columns;
  out.r[4] = in.r[4];
  out.imm = in.imm;
  out.width = in.width;
  out.space = in.space;
  out.size = in.size;
  out.mode = static_cast<uint8_t>(type);
  out.flags = by_columns ? 1 : 0;
  return true;
}

// wmma.mma.sync.aligned.row.col.m16n16k16.f32.f16.f16.f32 d, a, b, c; f16 operands are not spelled: .f32.f32.
bool multiply(Lowering& low, Words& w) {
  w.take("sync");
  w.take("aligned");
  for (int i = 0; i < 2; ++i) {  // the layouts of A and B, which their tiles have left behind
    if (!w.take("row") && !w.take("col")) return low.fail("two layouts are wanted");
  }
  const Shape* shape = take_shape(w);
  const bool saturate = w.take("satfinite");
  w.take("rn");
  const Type c = w.take_type();
  Type b = w.take_type(), a = w.take_type(), d = w.take_type();
  if (a == Type::none) {
    d = b;
    a = b = Type::f16;
  }
  if (shape == nullptr || a != b || !fits(*shape, a) || !sums(a, c) || !sums(a, d))
    return low.fail("this shape or type is not supported");
  if (!low.arity(w, 4, 4)) return false;
  const uint32_t counts[4] = {registers_of(*shape, d, Part::sum), registers_of(*shape, a, Part::a),
                              registers_of(*shape, b, Part::b), registers_of(*shape, c, Part::sum)};
  const Type types[4] = {d, a, b, c};
  std::vector<Ref> refs;
  for (uint32_t i = 0; i < 4; ++i) {
    if (!registers(low, w[i], counts[i], types[i], i == 0, refs)) return false;
  }
  const Ref everybody = low.constant(~0u, 4);
  Inst& in = low.emit(deposit_none_matrix);
  in.inner = multiply_tiles;
  in.kind = Kind::collective;
  in.more = keep(low, refs);
  in.r[0] = shape->m;
  in.r[1] = shape->n;
  in.r[2] = shape->k;
  in.r[3] = static_cast<Ref>(c);
  in.r[4] = static_cast<Ref>(d);
  in.r[5] = everybody;
  in.r[6] = counts[0];
  in.r[7] = counts[3];
  in.size = static_cast<uint8_t>(counts[1]);
  in.width = static_cast<uint8_t>(counts[2]);
  in.mode = static_cast<uint8_t>(a);
  in.flags = saturate ? 1 : 0;
  return true;
}

}  // namespace

bool lower_tile(Lowering& low, Words& w, bool& known) {
  known = w.in().op == "wmma";
  if (!known) return false;
  if (w.take("mma")) return multiply(low, w);
  const bool store = w.take("store");
  if (!store && !w.take("load")) return low.fail("this operation is not supported");
  return move_tile(low, w, store);
}

}  // namespace nm::softgpu::ptx
