// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/clock.h"

#include <fmt/core.h>

#include <algorithm>
#include <ctime>
#include <limits>

namespace tandem {

int pollTimeout(MonotonicTime deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(
      deadline - MonotonicTime(std::chrono::steady_clock::now()));
  return static_cast<int>(
      std::clamp<std::int64_t>(left.count(), 0, std::numeric_limits<int>::max()));
}

std::int64_t monotonicNanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::int64_t wallMilliseconds() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string formatWallTime(std::int64_t wallMs) {
  const std::time_t seconds = wallMs / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
                     parts.tm_year + 1900,
                     parts.tm_mon + 1,
                     parts.tm_mday,
                     parts.tm_hour,
                     parts.tm_min,
                     parts.tm_sec,
                     wallMs % 1000);
}

}  // namespace tandem
