// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/protocol/wall_time.h"

#include <algorithm>
#include <chrono>
#include <cstddef>

#include "engine/base/clock.h"

namespace tandem::protocol {

namespace {

constexpr std::string_view kForm = "dddd-dd-ddTdd:dd:dd.dddZ";
constexpr std::int64_t kLastMs = 253402300799999;  // 9999-12-31T23:59:59.999Z

bool hasForm(std::string_view text) {
  if (text.size() != kForm.size()) {
    return false;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kForm[i] == 'd' ? !digit : text[i] != kForm[i]) {
      return false;
    }
  }
  return true;
}

int number(std::string_view digits) {
  int value = 0;
  for (const char digit : digits) {
    value = value * 10 + (digit - '0');
  }
  return value;
}

}  // namespace

std::string wallTimeText(std::int64_t wallMs) {
  return formatWallTime(std::clamp<std::int64_t>(wallMs, 0, kLastMs));
}

std::optional<std::int64_t> parseWallTime(std::string_view text) {
  namespace calendar = std::chrono;
  if (!hasForm(text)) {
    return std::nullopt;
  }
  const calendar::year_month_day date{
      calendar::year(number(text.substr(0, 4))),
      calendar::month(static_cast<unsigned>(number(text.substr(5, 2)))),
      calendar::day(static_cast<unsigned>(number(text.substr(8, 2))))};
  const int hour = number(text.substr(11, 2));
  const int minute = number(text.substr(14, 2));
  const int second = number(text.substr(17, 2));
  if (!date.ok() || date.year() < calendar::year(1970) || hour > 23 || minute > 59 || second > 59) {
    return std::nullopt;
  }
  const auto time = calendar::sys_days(date) + calendar::hours(hour) + calendar::minutes(minute) +
                    calendar::seconds(second) + calendar::milliseconds(number(text.substr(20, 3)));
  return calendar::duration_cast<calendar::milliseconds>(time.time_since_epoch()).count();
}

}  // namespace tandem::protocol
