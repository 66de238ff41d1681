#include "engine/program/aggregate.hpp"

#include <algorithm>

#include "wire/batch.hpp"
#include "wire/bytes.hpp"

namespace vamos::engine {
namespace {

void appendInteger(std::string& out, UnsignedInteger value) {
  appendU64(out, static_cast<uint64_t>(value));
  appendU64(out, static_cast<uint64_t>(value >> 64));
}

// Nothing: fine.
std::string refusalOf(AggregateFunction function, const std::optional<Program>& value, bool isPadded) {
  if (function > AggregateFunction::MAX) return "no such function";
  const bool isExtreme = function == AggregateFunction::MIN || function == AggregateFunction::MAX;
  if (!value) return function == AggregateFunction::COUNT && !isPadded ? "" : "only COUNT is without a value";
  const ValueType type = value->type();
  if (function == AggregateFunction::SUM && type != ValueType::INTEGER && type != ValueType::DOUBLE) {
    return "SUM takes INTEGER or DOUBLE";
  }
  if (isExtreme && type == ValueType::BOOLEAN) return "MIN and MAX take no BOOLEAN";
  if (isPadded && !(isExtreme && type == ValueType::BYTES)) return "padding is for MIN and MAX of BYTES";
  return "";
}

}  // namespace

std::optional<Aggregates> Aggregates::make(const RowLayout& row, std::span<const AggregateOptions> options,
                                           std::string& refusal) {
  if (options.size() > maxAggregates) {
    refusal = "at most " + std::to_string(maxAggregates) + " aggregates in one request";
    return std::nullopt;
  }
  size_t codeBytes = 0;
  for (const AggregateOptions& option : options) codeBytes += option.value.size();
  if (codeBytes > maxAggregateProgramBytes) {
    refusal = "the aggregates' programs have at most " + std::to_string(maxAggregateProgramBytes) +
              " bytes together";
    return std::nullopt;
  }
  Aggregates made;
  for (size_t i = 0; i < options.size(); i++) {
    std::optional<Program> value;
    std::string reason;
    if (!options[i].value.empty()) value = Program::make(row, options[i].value, reason);
    if (reason.empty()) reason = refusalOf(options[i].function, value, options[i].isPadded);
    if (!reason.empty()) {
      refusal = "aggregate " + std::to_string(i) + ": " + reason;
      return std::nullopt;
    }
    made.countsRows_ &= !value;
    made.aggregates_.push_back({options[i].function, options[i].isPadded, std::move(value)});
  }
  return made;
}

void Aggregates::Sum::add(Integer value) {
  const auto bits = static_cast<UnsignedInteger>(value);
  low += bits;
  high += (low < bits ? 1 : 0) - (value < 0 ? 1 : 0);
}

bool Aggregates::add(std::string_view row) {
  for (Aggregate& aggregate : aggregates_) {
    if (!aggregate.value) {
      aggregate.count++;
      continue;
    }
    const Value value = aggregate.value->evaluate(row);
    if (value.isNull) continue;
    aggregate.count++;
    switch (aggregate.function) {
      case AggregateFunction::COUNT:
        break;
      case AggregateFunction::SUM:
        if (aggregate.value->type() == ValueType::INTEGER) {
          aggregate.sum.add(value.integer);
        } else {
          aggregate.realSum += value.real;
        }
        break;
      case AggregateFunction::MIN:
      case AggregateFunction::MAX:
        if (!keep(aggregate, value)) return false;
        break;
    }
  }
  return true;
}

bool Aggregates::keep(Aggregate& aggregate, const Value& value) {
  const ValueType type = aggregate.value->type();
  if (aggregate.count > 1) {
    const Order wanted = aggregate.function == AggregateFunction::MIN ? Order::LESS : Order::GREATER;
    if (compare(type, value, aggregate.kept, aggregate.isPadded) != wanted) return true;
  }
  aggregate.kept = value;
  if (type != ValueType::BYTES) return true;
  keptBytes_ += value.bytes.sizeBytes - aggregate.keptBytes.size();
  if (keptBytes_ > maxRowBytes) return false;
  aggregate.keptBytes.assign(value.view());
  aggregate.kept.bytes = {aggregate.keptBytes.data(), aggregate.keptBytes.size()};
  return true;
}

std::string Aggregates::result() const {
  std::string out;
  appendU32(out, 0);
  for (const Aggregate& aggregate : aggregates_) {
    appendU64(out, aggregate.count);
    if (aggregate.count == 0 || aggregate.function == AggregateFunction::COUNT) continue;
    const ValueType type = aggregate.value->type();
    if (aggregate.function == AggregateFunction::SUM && type == ValueType::INTEGER) {
      appendInteger(out, aggregate.sum.low);
      appendInteger(out, static_cast<UnsignedInteger>(aggregate.sum.high));
    } else if (aggregate.function == AggregateFunction::SUM) {
      appendU64(out, std::bit_cast<uint64_t>(aggregate.realSum));
    } else if (type == ValueType::INTEGER) {
      appendInteger(out, static_cast<UnsignedInteger>(aggregate.kept.integer));
    } else if (type == ValueType::DOUBLE) {
      appendU64(out, std::bit_cast<uint64_t>(aggregate.kept.real));
    } else {
      appendLengthPrefixed(out, aggregate.keptBytes);
    }
  }
  const auto lengthBytes = static_cast<uint32_t>(out.size() - sizeof(uint32_t));
  std::memcpy(out.data(), &lengthBytes, sizeof lengthBytes);
  return out;
}

void Aggregates::clear() {
  for (Aggregate& aggregate : aggregates_) {
    aggregate.count = 0;
    aggregate.sum = {};
    aggregate.realSum = 0;
    aggregate.keptBytes.clear();
  }
  keptBytes_ = 0;
}

}  // namespace vamos::engine
