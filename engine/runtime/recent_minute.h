// SPDX-License-Identifier: GPL-3.0-or-later
// The median and the 95th percentile of the last minute, at a cost that does not grow.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "engine/api/engine_stats.h"
#include "engine/base/clock.h"

namespace tandem::runtime {

/// Counts durations in intervals that are 6 % wide, over twelve periods of 5 s. Durations above
/// nine hours count as nine hours. Not thread-safe.
class RecentMinute {
 public:
  explicit RecentMinute(MonotonicTime start)
      : periodStart_(start) {}

  /// Into the period that the last advance() reached.
  void add(std::chrono::nanoseconds duration);

  /// Forgets what is older than a minute. Called at least as often as values shall be fresh.
  void advance(MonotonicTime now);

  /// Nothing when nothing was added in the last 55 to 60 s.
  [[nodiscard]] std::optional<api::RecentDurations> summary() const;

 private:
  // In units of 1.024 µs: the first 16 intervals are one wide, then every power of two is cut
  // in 16.
  static constexpr int kUnitBits = 10;
  static constexpr int kCutBits = 4;
  static constexpr std::size_t kIntervals = 512;
  static constexpr std::size_t kPeriods = 12;
  static constexpr std::chrono::seconds kPeriod{5};

  using Counts = std::array<std::uint32_t, kIntervals>;

  static std::size_t intervalOf(std::chrono::nanoseconds duration);
  static double middleOf(std::size_t interval);  // seconds
  [[nodiscard]] double valueAt(std::uint64_t place) const;

  std::array<Counts, kPeriods> periods_{};
  Counts sum_{};  // of all periods
  std::array<std::uint32_t, kPeriods> periodCounts_{};
  std::uint64_t count_ = 0;
  std::size_t period_ = 0;
  MonotonicTime periodStart_;
};

}  // namespace tandem::runtime
