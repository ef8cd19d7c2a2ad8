// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/recent_minute.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <utility>

namespace tandem::runtime {

std::size_t RecentMinute::intervalOf(std::chrono::nanoseconds duration) {
  const auto units = static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0)) >>
                     static_cast<unsigned>(kUnitBits);
  constexpr std::uint64_t kCuts = std::uint64_t{1} << static_cast<unsigned>(kCutBits);
  if (units < kCuts) {
    return units;
  }
  const auto shift = static_cast<unsigned>(std::bit_width(units) - 1 - kCutBits);
  const std::uint64_t interval = (shift + 1) * kCuts + ((units >> shift) - kCuts);
  return std::min<std::uint64_t>(interval, kIntervals - 1);
}

double RecentMinute::middleOf(std::size_t interval) {
  constexpr std::size_t kCuts = std::size_t{1} << static_cast<unsigned>(kCutBits);
  constexpr double kUnitSeconds = 1024e-9;
  if (interval < kCuts) {
    return (static_cast<double>(interval) + 0.5) * kUnitSeconds;
  }
  const std::uint64_t width = std::uint64_t{1} << (interval / kCuts - 1);
  return static_cast<double>((kCuts + interval % kCuts) * width) * kUnitSeconds +
         0.5 * static_cast<double>(width) * kUnitSeconds;
}

void RecentMinute::add(std::chrono::nanoseconds duration) {
  const std::size_t interval = intervalOf(duration);
  ++periods_[period_][interval];
  ++sum_[interval];
  ++periodCounts_[period_];
  ++count_;
}

void RecentMinute::advance(MonotonicTime now) {
  if (now < periodStart_ + kPeriod) {
    return;
  }
  const auto passed = (now - periodStart_) / kPeriod;
  periodStart_ += passed * kPeriod;
  for (std::size_t i = 0; i < std::min<std::size_t>(static_cast<std::size_t>(passed), kPeriods);
       ++i) {
    period_ = (period_ + 1) % kPeriods;
    if (periodCounts_[period_] == 0) {
      continue;
    }
    count_ -= std::exchange(periodCounts_[period_], 0);
    Counts& old = periods_[period_];
    std::transform(sum_.begin(), sum_.end(), old.begin(), sum_.begin(), std::minus<>());
    old.fill(0);
  }
}

std::optional<api::RecentDurations> RecentMinute::summary() const {
  if (count_ == 0) {
    return std::nullopt;
  }
  return api::RecentDurations{count_, valueAt((count_ + 1) / 2), valueAt((count_ * 95 + 99) / 100)};
}

double RecentMinute::valueAt(std::uint64_t place) const {
  std::uint64_t seen = 0;
  for (std::size_t interval = 0; interval < kIntervals; ++interval) {
    seen += sum_[interval];
    if (seen >= place) {
      return middleOf(interval);
    }
  }
  return middleOf(kIntervals - 1);
}

}  // namespace tandem::runtime
