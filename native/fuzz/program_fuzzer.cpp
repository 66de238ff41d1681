// Programs from bytes that anyone may have sent, over rows that anyone may have written: what is verified
// runs without reading past the program or the row, and gives the same again.
#include <cstdlib>
#include <vector>

#include "engine/program/aggregate.hpp"

namespace {

using namespace vamos;
using namespace vamos::engine;

void check(bool holds) {
  if (!holds) std::abort();
}

constexpr uint32_t decimalBytes = 9;

RowLayout makeLayout() {
  std::vector<Column> columns;
  for (const ColumnKind kind : {ColumnKind::INT8, ColumnKind::INT64, ColumnKind::UINT16, ColumnKind::UINT64,
                                ColumnKind::FLOAT, ColumnKind::DOUBLE, ColumnKind::BYTES, ColumnKind::BLOB})
    columns.push_back({static_cast<uint32_t>(kind), 0});
  columns.push_back({static_cast<uint32_t>(ColumnKind::FIXED), decimalBytes});
  columns.push_back({static_cast<uint32_t>(ColumnKind::FIXED), 3});
  columns.push_back({static_cast<uint32_t>(ColumnKind::BYTES), 0});
  return *RowLayout::make(columns);
}

constexpr size_t endsOffset = 2 + 1 + 8 + 2 + 8 + 4 + 8 + decimalBytes + 3;
constexpr uint32_t variableColumns = 3;

// Mends the row's length and end offsets: the variable columns share what is behind them.
void fitEnds(std::string& row) {
  const size_t variableOffset = endsOffset + sizeof(uint32_t) * variableColumns;
  if (row.size() < variableOffset) row.resize(variableOffset);
  const auto variableBytes = static_cast<uint32_t>(row.size() - variableOffset);
  for (uint32_t i = 0; i < variableColumns; i++) {
    const uint32_t end = variableBytes * (i + 1) / variableColumns;
    std::memcpy(row.data() + endsOffset + sizeof end * i, &end, sizeof end);
  }
}

bool isSame(ValueType type, const Value& left, const Value& right) {
  if (left.isNull || right.isNull) return left.isNull == right.isNull;
  const Order order = compare(type, left, right, false);
  return order == Order::EQUAL || order == Order::NONE;
}

}  // namespace

// u16 bytes of the program, the program, the row.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const RowLayout layout = makeLayout();
  if (size < 2) return 0;
  const size_t codeBytes = std::min<size_t>(data[0] | data[1] << 8, size - 2);
  const std::string code(reinterpret_cast<const char*>(data) + 2, codeBytes);
  std::string row(reinterpret_cast<const char*>(data) + 2 + codeBytes, size - 2 - codeBytes);
  fitEnds(row);
  check(layout.isValid(row));

  std::string refusal;
  const std::optional<Program> program = Program::make(layout, code, refusal);
  check(program.has_value() == refusal.empty());
  if (!program) return 0;
  check(program->bits() <= maxIntegerBits);
  const Value value = program->evaluate(row);
  check(isSame(program->type(), value, program->evaluate(row)));

  for (const AggregateFunction function :
       {AggregateFunction::COUNT, AggregateFunction::SUM, AggregateFunction::MIN, AggregateFunction::MAX}) {
    const AggregateOptions options{function, code,
                                   program->type() == ValueType::BYTES && function >= AggregateFunction::MIN};
    std::optional<Aggregates> aggregates = Aggregates::make(layout, {&options, 1}, refusal);
    if (!aggregates) continue;
    for (int i = 0; i < 3; i++) check(aggregates->add(row));
    check(aggregates->result().size() >= sizeof(uint32_t) + sizeof(uint64_t));
  }
  return 0;
}
