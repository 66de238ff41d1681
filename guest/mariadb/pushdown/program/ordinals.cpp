// Compiles dates, times and years: columns whose bytes sort as their values do.
#include <compat56.h>
#include <sql_time.h>
#include <tztime.h>

#include "mariadb/pushdown/program/values.hpp"

namespace vamos::mariadb::program {
namespace {

constexpr my_time_t hourSeconds = 3600;
constexpr my_time_t daySeconds = 24 * hourSeconds;
// Local times lie less than a day from UTC, and a comparison has to look this far on both sides.
constexpr my_time_t lookSeconds = 30 * hourSeconds;
constexpr my_time_t stepSeconds = hourSeconds / 4;
constexpr my_time_t lastSeconds = 0x7FFFFFFF;
constexpr Integer firstYear = 1900;
constexpr Integer lastYear = 2155;

Integer bigEndian(const uchar* bytes, uint length) {
  Integer value = 0;
  for (uint place = 0; place < length; place++) value = value << 8 | bytes[place];
  return value;
}

// Cuts the fraction to so many digits. Returns whether it lost any.
bool truncate(MYSQL_TIME& time, uint digits) {
  const ulong before = time.second_part;
  time.second_part -=
      static_cast<ulong>(before % static_cast<ulong>(log_10_int[TIME_SECOND_PART_DIGITS - digits]));
  return time.second_part != before;
}

my_time_t localSeconds(const MYSQL_TIME& time) {
  return static_cast<my_time_t>(calc_daynr(time.year, time.month, time.day)) * daySeconds +
         static_cast<my_time_t>(time.hour * 3600UL + time.minute * 60UL + time.second);
}

// Finds the moment of a local time. Near a change of daylight saving time it returns false, since there a
// comparison of local times is not one of moments.
bool momentOf(const MYSQL_TIME& local, my_time_t& moment) {
  THD* thd = current_thd;
  if (local.month == 0 || local.day == 0) return false;
  uint error = 0;
  moment = TIME_to_timestamp(thd, &local, &error);
  if (error != 0 || moment < 2 * daySeconds || moment > lastSeconds - 2 * daySeconds) return false;
  const my_time_t offset = localSeconds(local) - moment;
  for (my_time_t at = moment - lookSeconds; at <= moment + lookSeconds; at += stepSeconds) {
    MYSQL_TIME there;
    thd->variables.time_zone->gmt_sec_to_TIME(&there, at);
    if (localSeconds(there) - at != offset) return false;
  }
  return true;
}

std::optional<OrdinalConstant> timestampConstant(const Field& field, MYSQL_TIME time) {
  OrdinalConstant constant;
  const uint digits = field.decimals();
  if (time.year == 0 && time.month == 0 && time.day == 0 && time.hour == 0 && time.minute == 0 &&
      time.second == 0 && time.second_part == 0) {
    return constant;  // the zero timestamp sorts before all others
  }
  if (truncate(time, digits)) constant.side = Side::BELOW;
  my_time_t moment = 0;
  if (!momentOf(time, moment)) return std::nullopt;
  uchar bytes[8];
  timeval value;
  value.tv_sec = moment;
  value.tv_usec = static_cast<decltype(value.tv_usec)>(time.second_part);
  my_timestamp_to_binary(&value, bytes, digits);
  constant.value = bigEndian(bytes, my_timestamp_binary_length(digits));
  return constant;
}

std::optional<OrdinalConstant> datetimeConstant(const Field& field, longlong packed) {
  OrdinalConstant constant;
  MYSQL_TIME time;
  unpack_time(packed, &time, MYSQL_TIMESTAMP_DATETIME);
  if (time.neg) return std::nullopt;
  if (field.real_type() == MYSQL_TYPE_TIMESTAMP2) return timestampConstant(field, time);
  if (field.real_type() == MYSQL_TYPE_NEWDATE) {
    constant.value = Integer{time.year} * 512 + time.month * 32 + time.day;
    if (time.hour != 0 || time.minute != 0 || time.second != 0 || time.second_part != 0) {
      constant.side = Side::BELOW;
    }
    return constant;
  }
  const uint digits = field.decimals();
  if (truncate(time, digits)) constant.side = Side::BELOW;
  uchar bytes[8];
  my_datetime_packed_to_binary(TIME_to_longlong_datetime_packed(&time), bytes, digits);
  constant.value = bigEndian(bytes, my_datetime_binary_length(digits));
  return constant;
}

OrdinalConstant timeConstant(const Field& field, longlong packed) {
  OrdinalConstant constant;
  MYSQL_TIME time;
  unpack_time(packed, &time, MYSQL_TIMESTAMP_TIME);
  const uint digits = field.decimals();
  if (truncate(time, digits)) constant.side = time.neg ? Side::ABOVE : Side::BELOW;
  uchar bytes[8];
  my_time_packed_to_binary(TIME_to_longlong_time_packed(&time), bytes, digits);
  constant.value = bigEndian(bytes, my_time_binary_length(digits));
  return constant;
}

std::optional<OrdinalConstant> yearConstant(Item* item) {
  if (item->cmp_type() != INT_RESULT) return std::nullopt;
  OrdinalConstant constant;
  const longlong number = item->val_int();
  const Integer year = item->unsigned_flag ? Integer{static_cast<ulonglong>(number)} : Integer{number};
  if (year < 0) {
    constant.side = Side::ABOVE;
  } else if (year <= firstYear) {
    if (year != 0) constant.side = Side::BELOW;
  } else if (year <= lastYear) {
    constant.value = year - firstYear;
  } else {
    constant.value = lastYear - firstYear;
    constant.side = Side::BELOW;
  }
  return constant;
}

bool isTime(const Type_handler& compared) { return compared.field_type() == MYSQL_TYPE_TIME; }

bool isDate(const Type_handler& compared) {
  return compared.field_type() == MYSQL_TYPE_DATE || compared.field_type() == MYSQL_TYPE_DATETIME;
}

}  // namespace

std::optional<Ordinal> Values::ordinal(Item* item) const {
  if (isConstant(item)) return std::nullopt;
  Ordinal value;
  value.field = field(item);
  if (!value.field) return std::nullopt;
  const uint32_t number = column(*value.field);
  switch (value.field->real_type()) {
    case MYSQL_TYPE_YEAR:
      if (value.field->field_length != 4) return std::nullopt;
      [[fallthrough]];
    case MYSQL_TYPE_NEWDATE:
      putColumn(value.code, Instruction::COLUMN, number);
      return value;
    case MYSQL_TYPE_TIME2:
    case MYSQL_TYPE_DATETIME2:
    case MYSQL_TYPE_TIMESTAMP2:
      putColumn(value.code, Instruction::BIG_ENDIAN_INTEGER, number);
      return value;
    default:
      return std::nullopt;
  }
}

std::optional<OrdinalConstant> Values::ordinalConstant(const Field& field, Item* item,
                                                       const Type_handler& compared) const {
  if (!isConstant(item) || item->cmp_type() == ROW_RESULT) return std::nullopt;
  THD* thd = current_thd;
  Silence silence(thd, item);
  std::optional<OrdinalConstant> constant;
  switch (field.real_type()) {
    case MYSQL_TYPE_YEAR:
      if (compared.cmp_type() != INT_RESULT) return std::nullopt;
      constant = yearConstant(item);
      break;
    case MYSQL_TYPE_TIME2: {
      if (!isTime(compared)) return std::nullopt;
      const longlong packed = item->val_time_packed(thd);
      if (!item->null_value) constant = timeConstant(field, packed);
      break;
    }
    default: {
      if (!isDate(compared)) return std::nullopt;
      const longlong packed = item->val_datetime_packed(thd);
      if (!item->null_value) constant = datetimeConstant(field, packed);
      break;
    }
  }
  if (silence.wasBroken()) return std::nullopt;
  if (item->null_value) {
    constant.emplace();
    constant->isNull = true;
  }
  return constant;
}

}  // namespace vamos::mariadb::program
