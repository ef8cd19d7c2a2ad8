// SPDX-License-Identifier: GPL-3.0-or-later
// Time as the engine sees it: a monotonic clock that tests move by hand, and wall time for people.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace tandem {

using MonotonicTime = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;

/// Where code that waits or measures gets its time. Any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual MonotonicTime now() const = 0;
};

/// std::chrono::steady_clock.
class SteadyClock final : public Clock {
 public:
  [[nodiscard]] MonotonicTime now() const override { return std::chrono::steady_clock::now(); }
};

/// Milliseconds from now until `deadline` for poll(): rounded up, never negative.
[[nodiscard]] int pollTimeout(MonotonicTime deadline);

/// Nanoseconds of CLOCK_MONOTONIC, comparable between processes of one host.
[[nodiscard]] std::int64_t monotonicNanoseconds();

/// Milliseconds since 1970-01-01 UTC.
[[nodiscard]] std::int64_t wallMilliseconds();

/// "2026-11-23T13:37:05.120Z".
[[nodiscard]] std::string formatWallTime(std::int64_t wallMs);

}  // namespace tandem
